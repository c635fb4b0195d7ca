-- title: SOFA
-- description: Sequential Organ Failure Assessment of each visit by 24 hours from its admission (from its first input
--   where that is not known), with the worst value of each organ in these 24 hours. A vasopressor without a dose in
--   ug/kg/min takes the least that its name allows: dopamine and dobutamine 2, norepinephrine and epinephrine 3. The
--   score sums the points that are known, and is null when none is; with n_missing above 0 it is a lower bound.
-- grain: patient_id, encounter_id, day_start
-- source: Vincent, Intensive Care Med 1996;22:707
-- column day_start: start of the 24 hours
-- column day_of_visit: 0 for the first 24 hours from admission; below 0 before it
-- column first_input_at: time of the earliest input used
-- column last_input_at: time of the latest input used
-- column pao2_fio2: lowest ratio of PaO2 to FiO2, mmHg
-- column ventilated: whether ventilation is recorded
-- column platelets: lowest platelets, 10^9/L
-- column bilirubin: highest total bilirubin, mg/dL
-- column mean_bp: lowest mean arterial pressure, mmHg
-- column vasopressor_points: points of the strongest vasopressor running in the day
-- column gcs: lowest Glasgow Coma Scale
-- column creatinine: highest creatinine, mg/dL
-- column urine_ml: urine of the day, ml; null in days not observed to their end
-- column respiration_points: 1 below 400, 2 below 300, with ventilation 3 below 200, 4 below 100
-- column coagulation_points: 1 below 150, 2 below 100, 3 below 50, 4 below 20
-- column liver_points: 1 from 1.2, 2 from 2.0, 3 from 6.0, 4 from 12.0
-- column circulation_points: 1 below 70 mmHg, else by vasopressor
-- column brain_points: 1 below 15, 2 below 13, 3 below 10, 4 below 6
-- column kidney_points: 1 from 1.2, 2 from 2.0, 3 from 3.5 or below 500 ml, 4 from 5.0 or below 200 ml
-- column variant: definition and window
-- column n_missing: organs that no input decides, of six
-- column score: 0 to 24

-- Not cut into concept views: nothing else reads one of its steps.
-- PaO2 is laid to the FiO2 of the 4 hours before, to 21 % on air. Points above 2 for breathing need a ventilation
-- procedure, invasive or not, recorded in the visit within the day or the day before. Urine counts only in days that
-- are observed to their end.
-- What counts in the score; a time at which something else was measured is none.
WITH measurements AS (
    SELECT
        *,
        CASE
            WHEN
                coalesce(pao2, stated_ratio, platelets, bilirubin, creatinine) IS NOT NULL
                OR coalesce(mean_bp, gcs, urine_ml) IS NOT NULL
                THEN measured_at
        END AS input_at
    FROM acute_values
    WHERE measured_at IS NOT NULL AND encounter_id IS NOT NULL
),

-- What a gas states itself counts for it, before what was inspired at that time or was inspired last. All looks go
-- along one order, so that the rows are sorted once.
breathing AS (
    SELECT
        *,
        coalesce(gas_fio2, last_value(fio2 IGNORE NULLS) OVER so_far) AS gas_on,
        max(CASE WHEN fio2 IS NOT NULL OR gas_fio2 IS NOT NULL THEN measured_at END) OVER so_far AS fio2_at,
        min(input_at) OVER visit AS first_at,
        max(input_at) OVER visit AS last_at
    FROM measurements
    WINDOW
        so_far AS (
            PARTITION BY patient_id, encounter_id ORDER BY measured_at
            RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ),
        visit AS (
            PARTITION BY patient_id, encounter_id ORDER BY measured_at
            RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        )
),

inputs AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        CASE
            WHEN stated_ratio IS NOT NULL THEN stated_ratio
            WHEN fio2_at >= measured_at - INTERVAL '4' HOUR THEN pao2 / (gas_on / 100.0)
        END AS pao2_fio2,
        platelets,
        bilirubin,
        creatinine,
        mean_bp,
        gcs,
        urine_ml,
        first_at,
        last_at
    FROM breathing
    WHERE input_at IS NOT NULL
),

visits AS (
    SELECT
        inputs.*,
        coalesce(known.admitted_at, inputs.first_at) AS start_at,
        coalesce(known.discharged_at, inputs.last_at) AS until_at
    FROM inputs
    LEFT JOIN encounters_current AS known
        ON inputs.patient_id = known.patient_id AND inputs.encounter_id = known.encounter_id
),

dated AS (
    SELECT
        *,
        -- epoch: date_diff asks the calendar of the time zone for each row
        floor((epoch(measured_at) - epoch(start_at)) / 86400.0)::INT AS day_of_visit
    FROM visits
),

sums AS (
    SELECT
        patient_id,
        encounter_id,
        day_of_visit,
        min(start_at) AS start_at,
        max(until_at) AS until_at,
        min(measured_at) AS first_input_at,
        max(measured_at) AS last_input_at,
        min(pao2_fio2) AS pao2_fio2,
        min(platelets) AS platelets,
        max(bilirubin) AS bilirubin,
        min(mean_bp) AS mean_bp,
        min(gcs) AS gcs,
        max(creatinine) AS creatinine,
        -- as decimals: the last bit of a sum of doubles depends on the order in which rows come
        sum(urine_ml::DECIMAL(18, 3))::DOUBLE AS urine_ml
    FROM dated
    GROUP BY patient_id, encounter_id, day_of_visit
),

days AS (
    SELECT
        *,
        start_at + day_of_visit * INTERVAL '1' DAY AS day_start,
        start_at + (day_of_visit + 1) * INTERVAL '1' DAY AS day_end
    FROM sums
),

pressors AS (
    SELECT
        days.patient_id,
        days.encounter_id,
        days.day_of_visit,
        max(
            CASE
                WHEN drugs.drug IN ('norepinephrine', 'epinephrine')
                    THEN
                        CASE
                            WHEN units.unit IS NOT NULL AND drugs.dose > 0.1 THEN 4
                            ELSE 3
                        END
                WHEN drugs.drug = 'dopamine'
                    THEN
                        CASE
                            WHEN units.unit IS NOT NULL AND drugs.dose > 15 THEN 4
                            WHEN units.unit IS NOT NULL AND drugs.dose > 5 THEN 3
                            ELSE 2
                        END
                WHEN drugs.drug = 'dobutamine' THEN 2
            END
        ) AS vasopressor_points
    FROM days
    INNER JOIN medication_list AS drugs
        ON
            days.patient_id = drugs.patient_id
            AND days.encounter_id = drugs.encounter_id
            AND days.day_end > drugs.started_at
            AND days.day_start <= coalesce(drugs.ended_at, drugs.last_given_at, drugs.started_at)
    LEFT JOIN codes.unit_spellings AS units
        ON lower(replace(drugs.dose_unit, ' ', '')) = units.spelling AND units.unit = 'ug/kg/min'
    WHERE drugs.family = 'vasopressor' AND drugs.state <> 'cancelled'
    GROUP BY days.patient_id, days.encounter_id, days.day_of_visit
),

ventilation AS (
    SELECT DISTINCT
        days.patient_id,
        days.encounter_id,
        days.day_of_visit
    FROM days
    INNER JOIN grouped_procedures AS done
        ON
            days.patient_id = done.patient_id
            AND days.encounter_id = done.encounter_id
            AND days.day_end > done.performed_at
            AND days.day_start <= done.performed_at + INTERVAL '1' DAY
    WHERE done.procedure_group = 'ventilation'
),

worst AS (
    SELECT
        days.patient_id,
        days.encounter_id,
        days.day_of_visit,
        days.day_start,
        days.first_input_at,
        days.last_input_at,
        days.pao2_fio2,
        days.platelets,
        days.bilirubin,
        days.mean_bp,
        days.gcs,
        days.creatinine,
        pressors.vasopressor_points,
        CASE WHEN days.until_at >= days.day_end THEN days.urine_ml END AS urine_ml,
        ventilation.patient_id IS NOT NULL AS ventilated
    FROM days
    LEFT JOIN pressors
        ON
            days.patient_id = pressors.patient_id
            AND days.encounter_id = pressors.encounter_id
            AND days.day_of_visit = pressors.day_of_visit
    LEFT JOIN ventilation
        ON
            days.patient_id = ventilation.patient_id
            AND days.encounter_id = ventilation.encounter_id
            AND days.day_of_visit = ventilation.day_of_visit
),

points AS (
    SELECT
        *,
        CASE
            WHEN pao2_fio2 < 100 AND ventilated THEN 4
            WHEN pao2_fio2 < 200 AND ventilated THEN 3
            WHEN pao2_fio2 < 300 THEN 2
            WHEN pao2_fio2 < 400 THEN 1
            WHEN pao2_fio2 >= 400 THEN 0
        END AS respiration_points,
        CASE
            WHEN platelets < 20 THEN 4
            WHEN platelets < 50 THEN 3
            WHEN platelets < 100 THEN 2
            WHEN platelets < 150 THEN 1
            WHEN platelets >= 150 THEN 0
        END AS coagulation_points,
        CASE
            WHEN bilirubin >= 12 THEN 4
            WHEN bilirubin >= 6 THEN 3
            WHEN bilirubin >= 2 THEN 2
            WHEN bilirubin >= 1.2 THEN 1
            WHEN bilirubin IS NOT NULL THEN 0
        END AS liver_points,
        CASE
            WHEN vasopressor_points IS NOT NULL THEN vasopressor_points
            WHEN mean_bp < 70 THEN 1
            WHEN mean_bp >= 70 THEN 0
        END AS circulation_points,
        CASE
            WHEN gcs < 6 THEN 4
            WHEN gcs < 10 THEN 3
            WHEN gcs < 13 THEN 2
            WHEN gcs < 15 THEN 1
            WHEN gcs >= 15 THEN 0
        END AS brain_points,
        CASE
            WHEN creatinine >= 5 OR urine_ml < 200 THEN 4
            WHEN creatinine >= 3.5 OR urine_ml < 500 THEN 3
            WHEN creatinine >= 2 THEN 2
            WHEN creatinine >= 1.2 THEN 1
            WHEN creatinine IS NOT NULL OR urine_ml IS NOT NULL THEN 0
        END AS kidney_points
    FROM worst
),

totals AS (
    SELECT
        *,
        (respiration_points IS NULL)::INT + (coagulation_points IS NULL)::INT + (liver_points IS NULL)::INT
        + (circulation_points IS NULL)::INT + (brain_points IS NULL)::INT + (kidney_points IS NULL)::INT AS n_missing
    FROM points
)

SELECT
    patient_id,
    encounter_id,
    day_start,
    day_of_visit,
    first_input_at,
    last_input_at,
    pao2_fio2,
    ventilated,
    platelets,
    bilirubin,
    mean_bp,
    vasopressor_points,
    gcs,
    creatinine,
    urine_ml,
    respiration_points,
    coagulation_points,
    liver_points,
    circulation_points,
    brain_points,
    kidney_points,
    n_missing,
    'Vincent 1996; 24 hours from admission' AS variant,
    CASE
        WHEN n_missing < 6
            THEN
                coalesce(respiration_points, 0) + coalesce(coagulation_points, 0) + coalesce(liver_points, 0)
                + coalesce(circulation_points, 0) + coalesce(brain_points, 0) + coalesce(kidney_points, 0)
    END AS score
FROM totals

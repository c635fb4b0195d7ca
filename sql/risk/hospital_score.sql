-- title: HOSPITAL score
-- description: HOSPITAL score of each inpatient visit that has ended, with the last hemoglobin and sodium of the
--   visit, its procedures, and the patient's inpatient visits that began in the 365 days before. Oncology is told by
--   the hospital service (codes.oncology_services). The score sums the points that are known; with n_missing above 0
--   score and band are lower bounds.
-- grain: patient_id, encounter_id
-- source: Donze, JAMA Intern Med 2013;173:632; admissions in classes 0-1, 2-5 and more, as validated in 2016;176:496
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column hemoglobin: last hemoglobin of the visit, g/dL
-- column hemoglobin_at: when it was observed
-- column sodium: last sodium of the visit, mmol/L
-- column sodium_at: when it was observed
-- column n_procedures: procedures recorded in the visit and not deleted since
-- column admissions_before: inpatient visits that began in the 365 days before admission
-- column length_of_stay_days: days between admission and discharge
-- column hemoglobin_points: 1 below 12 g/dL
-- column oncology_points: 2 for a discharge from an oncology service
-- column sodium_points: 1 below 135 mmol/L
-- column procedure_points: 1 for any procedure in the visit
-- column urgency_points: 1 for an admission of type emergency, urgent or accident, or by way of the emergency room
-- column admission_points: 0 up to one admission in the year before, 2 from two, 5 from six
-- column stay_points: 2 from 5 days
-- column variant: definition and look-back
-- column n_missing: inputs without a value, of five: hemoglobin, sodium, service, admission type, length of stay
-- column score: 0 to 13
-- column band: low up to 4, intermediate up to 6, high from 7

-- Not cut into concept views: nothing else reads one of its steps.
WITH stays AS (
    SELECT
        encounters.patient_id,
        encounters.encounter_id,
        encounters.admitted_at,
        encounters.discharged_at,
        encounters.length_of_stay_days,
        CASE
            WHEN encounters.admission_type IN ('E', 'U', 'A') OR encounters.via_emergency THEN 1
            WHEN encounters.admission_type IS NOT NULL THEN 0
        END AS urgency_points,
        CASE
            WHEN oncology.service IS NOT NULL THEN 2
            WHEN encounters.service IS NOT NULL THEN 0
        END AS oncology_points
    FROM encounters_current AS encounters
    LEFT JOIN codes.oncology_services AS oncology ON encounters.service = oncology.service
    WHERE
        encounters.class = 'inpatient'
        AND encounters.discharged_at IS NOT NULL
        AND coalesce(encounters.status, 'finished') <> 'cancelled'
),

ranked AS (
    SELECT
        patient_id,
        encounter_id,
        analyte,
        value,
        observed_at,
        row_number() OVER (
            PARTITION BY patient_id, encounter_id, analyte ORDER BY observed_at DESC, record_id DESC, ordinal DESC
        ) AS nth
    FROM lab_results
    WHERE
        analyte IN ('hemoglobin', 'sodium')
        AND value IS NOT NULL
        AND comparator IS NULL
        AND coalesce(plausible, TRUE)
        AND observed_at IS NOT NULL
        AND encounter_id IS NOT NULL
),

last_labs AS (
    SELECT
        patient_id,
        encounter_id,
        max(CASE WHEN analyte = 'hemoglobin' THEN value END) AS hemoglobin,
        max(CASE WHEN analyte = 'hemoglobin' THEN observed_at END) AS hemoglobin_at,
        max(CASE WHEN analyte = 'sodium' THEN value END) AS sodium,
        max(CASE WHEN analyte = 'sodium' THEN observed_at END) AS sodium_at
    FROM ranked
    WHERE nth = 1
    GROUP BY patient_id, encounter_id
),

stated AS (
    SELECT
        encounter_id,
        coalesce(action, 'A') AS action,
        row_number() OVER (
            PARTITION BY encounter_id, code_system, code, performed_at
            ORDER BY stated_at DESC NULLS LAST, record_id DESC NULLS LAST, ordinal DESC NULLS LAST
        ) AS nth
    FROM procedures
    WHERE encounter_id IS NOT NULL
),

done AS (
    SELECT
        encounter_id,
        count(*) AS n_procedures
    FROM stated
    WHERE nth = 1 AND action <> 'D'
    GROUP BY encounter_id
),

earlier AS (
    SELECT
        stays.patient_id,
        stays.encounter_id,
        count(*) AS admissions_before
    FROM stays
    INNER JOIN encounters_current AS visits
        ON
            stays.patient_id = visits.patient_id
            AND stays.encounter_id <> visits.encounter_id
            AND stays.admitted_at > visits.admitted_at
            AND stays.admitted_at <= visits.admitted_at + INTERVAL '365' DAY
    WHERE visits.class = 'inpatient' AND coalesce(visits.status, 'finished') <> 'cancelled'
    GROUP BY stays.patient_id, stays.encounter_id
),

points AS (
    SELECT
        stays.*,
        last_labs.hemoglobin,
        last_labs.hemoglobin_at,
        last_labs.sodium,
        last_labs.sodium_at,
        coalesce(done.n_procedures, 0) AS n_procedures,
        coalesce(earlier.admissions_before, 0) AS admissions_before,
        (last_labs.hemoglobin < 12)::INT AS hemoglobin_points,
        (last_labs.sodium < 135)::INT AS sodium_points,
        (done.n_procedures IS NOT NULL)::INT AS procedure_points,
        CASE
            WHEN earlier.admissions_before > 5 THEN 5
            WHEN earlier.admissions_before > 1 THEN 2
            ELSE 0
        END AS admission_points,
        (stays.length_of_stay_days >= 5)::INT * 2 AS stay_points
    FROM stays
    LEFT JOIN last_labs ON stays.patient_id = last_labs.patient_id AND stays.encounter_id = last_labs.encounter_id
    LEFT JOIN done ON stays.encounter_id = done.encounter_id
    LEFT JOIN earlier ON stays.patient_id = earlier.patient_id AND stays.encounter_id = earlier.encounter_id
),

scores AS (
    SELECT
        *,
        coalesce(hemoglobin_points, 0) + coalesce(oncology_points, 0) + coalesce(sodium_points, 0) + procedure_points
        + coalesce(urgency_points, 0) + admission_points + coalesce(stay_points, 0) AS score,
        (hemoglobin_points IS NULL)::INT + (oncology_points IS NULL)::INT + (sodium_points IS NULL)::INT
        + (urgency_points IS NULL)::INT + (stay_points IS NULL)::INT AS n_missing
    FROM points
)

SELECT
    patient_id,
    encounter_id,
    admitted_at,
    discharged_at,
    hemoglobin,
    hemoglobin_at,
    sodium,
    sodium_at,
    n_procedures,
    admissions_before,
    length_of_stay_days,
    hemoglobin_points,
    oncology_points,
    sodium_points,
    procedure_points,
    urgency_points,
    admission_points,
    stay_points,
    n_missing,
    score,
    'Donze 2013, admission classes of 2016; look-back 365 days' AS variant,
    CASE WHEN score >= 7 THEN 'high' WHEN score >= 5 THEN 'intermediate' ELSE 'low' END AS band
FROM scores

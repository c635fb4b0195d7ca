-- title: Vital signs
-- description: Vital signs side by side, one row per visit (or patient, where no visit is known) and time; corrections
--   applied, units converted. A value that no living patient can have is left out; of several at one time, the
--   highest is shown.
-- grain: patient_id, encounter_id, measured_at
-- source: codes.analytes (kind vital), codes.unit_conversions, codes.vital_answers
-- column measured_at: when they were measured
-- column heart_rate: per minute
-- column respiratory_rate: per minute
-- column systolic_bp: mmHg
-- column diastolic_bp: mmHg
-- column mean_bp: mmHg; where it was not sent, a third of the way from diastolic to systolic
-- column temperature: degrees Celsius
-- column spo2: percent
-- column oxygen_supplement: whether oxygen is given: a flow above 0, more than 21 percent, or a device other than room
--   air; null when nothing tells
-- column oxygen_flow: litres per minute
-- column inspired_oxygen: percent
-- column consciousness: A alert, C newly confused, V responds to voice, P to pain, U unresponsive; the worst of several
-- column gcs: Glasgow Coma Scale; where the total was not sent, the sum of eyes, verbal and motor
-- column gcs_eye: Glasgow Coma Scale, eyes: 1 to 4
-- column gcs_verbal: Glasgow Coma Scale, verbal: 1 to 5
-- column gcs_motor: Glasgow Coma Scale, motor: 1 to 6
-- column weight_kg: body weight, kg
-- column height_cm: body height, cm
-- column bmi: body mass index as sent, kg/m2
-- column body_surface_area: body surface area as sent, m2
-- column head_circumference_cm: head circumference, cm
-- column pain: 0 to 10
-- column etco2: mmHg
-- column urine_output_ml: urine since the time before, ml
-- column age_years: age at that time; 90 stands for 90 and over
WITH plausible_values AS (
    SELECT
        patient_id,
        encounter_id,
        observed_at,
        age_years,
        analyte AS vital,
        answer,
        CASE WHEN coalesce(plausible, TRUE) THEN value END AS value,
        CASE WHEN coalesce(second_plausible, TRUE) THEN second_value END AS second_value
    FROM measured_values
    -- Inspired oxygen is charted at the bedside as well as with a blood gas.
    WHERE analyte_kind = 'vital' OR analyte = 'fio2'
),

side_by_side AS (
    SELECT
        patient_id,
        encounter_id,
        observed_at AS measured_at,
        max(age_years) AS age_years,
        max(CASE WHEN vital = 'heart_rate' THEN value END) AS heart_rate,
        max(CASE WHEN vital = 'respiratory_rate' THEN value END) AS respiratory_rate,
        max(CASE WHEN vital IN ('systolic_bp', 'blood_pressure') THEN value END) AS systolic_bp,
        max(
            CASE
                WHEN vital = 'diastolic_bp' THEN value
                WHEN vital = 'blood_pressure' THEN second_value
            END
        ) AS diastolic_bp,
        max(CASE WHEN vital = 'mean_bp' THEN value END) AS mean_bp,
        max(CASE WHEN vital = 'temperature' THEN value END) AS temperature,
        max(CASE WHEN vital = 'spo2' THEN value END) AS spo2,
        max(CASE WHEN vital = 'oxygen_flow' THEN value END) AS oxygen_flow,
        max(CASE WHEN vital = 'gcs' THEN value END) AS gcs,
        max(CASE WHEN vital = 'gcs_eye' THEN value END) AS gcs_eye,
        max(CASE WHEN vital = 'gcs_verbal' THEN value END) AS gcs_verbal,
        max(CASE WHEN vital = 'gcs_motor' THEN value END) AS gcs_motor,
        max(CASE WHEN vital = 'pain' THEN value END) AS pain,
        max(CASE WHEN vital = 'weight_kg' THEN value END) AS weight_kg,
        max(CASE WHEN vital = 'height_cm' THEN value END) AS height_cm,
        max(CASE WHEN vital = 'bmi' THEN value END) AS bmi,
        max(CASE WHEN vital = 'body_surface_area' THEN value END) AS body_surface_area,
        max(CASE WHEN vital = 'head_circumference_cm' THEN value END) AS head_circumference_cm,
        max(CASE WHEN vital = 'etco2' THEN value END) AS etco2,
        max(CASE WHEN vital = 'urine_output_ml' THEN value END) AS urine_output_ml,
        max(CASE WHEN vital IN ('inspired_oxygen', 'fio2') THEN value END) AS inspired_oxygen,
        max(
            CASE
                WHEN vital <> 'oxygen_device' THEN NULL
                WHEN answer = 'yes' OR value > 0 THEN 1
                WHEN answer = 'no' OR value = 0 THEN 0
            END
        ) AS oxygen_device,
        -- P, U and V come after A and C in the alphabet, but U is worse than V.
        max(CASE WHEN vital = 'consciousness' THEN replace(answer, 'V', 'D') END) AS worst_level
    FROM plausible_values
    GROUP BY patient_id, encounter_id, observed_at
)

SELECT
    patient_id,
    encounter_id,
    measured_at,
    heart_rate,
    respiratory_rate,
    systolic_bp,
    diastolic_bp,
    coalesce(mean_bp, (systolic_bp + 2 * diastolic_bp) / 3) AS mean_bp,
    temperature,
    spo2,
    CASE
        WHEN oxygen_flow > 0 OR inspired_oxygen > 21.5 OR oxygen_device = 1 THEN TRUE
        WHEN oxygen_flow = 0 OR inspired_oxygen <= 21.5 OR oxygen_device = 0 THEN FALSE
    END AS oxygen_supplement,
    oxygen_flow,
    inspired_oxygen,
    replace(worst_level, 'D', 'V') AS consciousness,
    coalesce(gcs, gcs_eye + gcs_verbal + gcs_motor) AS gcs,
    gcs_eye,
    gcs_verbal,
    gcs_motor,
    weight_kg,
    height_cm,
    bmi,
    body_surface_area,
    head_circumference_cm,
    pain,
    etco2,
    urine_output_ml,
    age_years
FROM side_by_side

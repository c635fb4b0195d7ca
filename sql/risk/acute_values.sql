-- title: Acute values side by side
-- description: What SOFA, qSOFA and the cohort of sepsis ask of laboratory and bedside, one row per visit (or patient,
--   where no visit is known) and time, in the units of measured_values; of several at one time, the worst. A value that
--   no living patient can have is left out, and so is a laboratory's that is only known to lie below or above another.
-- grain: patient_id, encounter_id, measured_at
-- source: measured_values
-- column measured_at: when they were measured
-- column pao2: arterial oxygen, mmHg
-- column stated_ratio: PaO2/FiO2 as sent, mmHg
-- column gas_fio2: inspired oxygen as the blood gas states it, percent
-- column fio2: inspired oxygen of bedside or gas, percent; 21 where no oxygen is given
-- column platelets: 10*3/uL
-- column bilirubin: mg/dL
-- column creatinine: mg/dL
-- column lactate: mmol/L
-- column respiratory_rate: per minute
-- column systolic_bp: mmHg
-- column mean_bp: mmHg; where it was not sent, a third of the way from diastolic to systolic
-- column gcs: Glasgow Coma Scale; where the total was not sent, the sum of eyes, verbal and motor
-- column urine_ml: urine since the time before, ml
WITH measurements AS (
    SELECT
        patient_id,
        encounter_id,
        observed_at AS measured_at,
        analyte,
        answer,
        CASE WHEN coalesce(plausible, TRUE) THEN value END AS value,
        CASE WHEN coalesce(second_plausible, TRUE) THEN second_value END AS second_value,
        -- of a laboratory, below or above what can be measured is no number
        CASE WHEN coalesce(plausible, TRUE) AND comparator IS NULL THEN value END AS lab_value
    FROM measured_values
    WHERE
        analyte IN (
            'pao2', 'fio2', 'pao2_fio2', 'platelets', 'bilirubin_total', 'creatinine', 'lactate', 'respiratory_rate',
            'mean_bp', 'systolic_bp', 'diastolic_bp', 'blood_pressure', 'gcs', 'gcs_eye', 'gcs_verbal', 'gcs_motor',
            'urine_output_ml', 'inspired_oxygen', 'oxygen_flow', 'oxygen_device'
        )
),

side_by_side AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        max(CASE WHEN analyte = 'pao2' AND lab_value > 0 THEN lab_value END) AS pao2,
        max(CASE WHEN analyte = 'pao2_fio2' AND lab_value > 0 THEN lab_value END) AS stated_ratio,
        max(CASE WHEN analyte = 'fio2' AND lab_value > 0 THEN lab_value END) AS gas_fio2,
        max(CASE WHEN analyte IN ('inspired_oxygen', 'fio2') THEN value END) AS inspired_oxygen,
        max(CASE WHEN analyte = 'oxygen_flow' THEN value END) AS oxygen_flow,
        max(
            CASE
                WHEN analyte <> 'oxygen_device' THEN NULL
                WHEN answer = 'yes' OR value > 0 THEN 1
                WHEN answer = 'no' OR value = 0 THEN 0
            END
        ) AS oxygen_device,
        min(CASE WHEN analyte = 'platelets' THEN lab_value END) AS platelets,
        max(CASE WHEN analyte = 'bilirubin_total' THEN lab_value END) AS bilirubin,
        max(CASE WHEN analyte = 'creatinine' THEN lab_value END) AS creatinine,
        max(CASE WHEN analyte = 'lactate' THEN lab_value END) AS lactate,
        max(CASE WHEN analyte = 'respiratory_rate' THEN value END) AS respiratory_rate,
        max(CASE WHEN analyte = 'mean_bp' THEN value END) AS mean_bp,
        max(CASE WHEN analyte IN ('systolic_bp', 'blood_pressure') THEN value END) AS systolic_bp,
        max(
            CASE
                WHEN analyte = 'diastolic_bp' THEN value
                WHEN analyte = 'blood_pressure' THEN second_value
            END
        ) AS diastolic_bp,
        max(CASE WHEN analyte = 'gcs' THEN value END) AS gcs,
        max(CASE WHEN analyte = 'gcs_eye' THEN value END) AS gcs_eye,
        max(CASE WHEN analyte = 'gcs_verbal' THEN value END) AS gcs_verbal,
        max(CASE WHEN analyte = 'gcs_motor' THEN value END) AS gcs_motor,
        max(CASE WHEN analyte = 'urine_output_ml' THEN value END) AS urine_ml
    FROM measurements
    GROUP BY patient_id, encounter_id, measured_at
)

-- Pressures, coma scale and oxygen as in vital_signs.
SELECT
    patient_id,
    encounter_id,
    measured_at,
    pao2,
    stated_ratio,
    gas_fio2,
    CASE
        WHEN inspired_oxygen IS NOT NULL THEN inspired_oxygen
        WHEN oxygen_flow > 0 OR oxygen_device = 1 THEN NULL
        WHEN oxygen_flow = 0 OR oxygen_device = 0 THEN 21
    END AS fio2,
    platelets,
    bilirubin,
    creatinine,
    lactate,
    respiratory_rate,
    systolic_bp,
    coalesce(mean_bp, (systolic_bp + 2 * diastolic_bp) / 3) AS mean_bp,
    coalesce(gcs, gcs_eye + gcs_verbal + gcs_motor) AS gcs,
    urine_ml
FROM side_by_side

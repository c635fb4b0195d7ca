-- title: Inputs of the cardiovascular scores
-- description: Per patient, the latest value of each input of the pooled cohort equations and of PREVENT, as of the
--   latest of these times; a value more than five years older than that is left out. A diagnosis of diabetes, a blood
--   pressure drug or a statin that is not recorded counts as absent; smoking that is not recorded is unknown.
-- grain: patient_id
-- source: the inputs of ascvd_pce and prevent
-- column sex: administrative sex: female, male, other or unknown
-- column as_of: time of the latest input
-- column oldest_input_at: time of the oldest input used
-- column age_years: age in years at the latest input that tells it, else the latest known; 90 stands for 90 and over
-- column systolic_bp: latest systolic blood pressure, mmHg
-- column cholesterol_total: latest total cholesterol, mg/dL
-- column hdl: latest HDL cholesterol, mg/dL
-- column egfr: latest CKD-EPI 2021 estimate, mL/min/1.73 m2
-- column bmi: latest body mass index
-- column diabetes: 1 with a diagnosis of diabetes
-- column prior_ascvd: 1 with a diagnosis of coronary disease, stroke, transient ischemic attack or peripheral artery
--   disease, at any time
-- column prior_heart_failure: 1 with a diagnosis of heart failure, at any time
-- column treated: 1 with an active blood pressure drug
-- column statin: 1 with an active statin
-- column smoker: 1 for a current smoker by the latest statement, 0 for a former or never smoker
WITH values_at AS (
    SELECT
        patient_id,
        CASE WHEN analyte = 'blood_pressure' THEN 'systolic_bp' ELSE analyte END AS input,
        value,
        observed_at AS measured_at,
        age_years
    FROM risk_factor_values
    WHERE analyte IN ('systolic_bp', 'blood_pressure', 'cholesterol_total', 'hdl')
    UNION ALL
    SELECT
        patient_id,
        'egfr' AS input,
        egfr AS value,
        observed_at AS measured_at,
        age_years
    FROM egfr
    WHERE egfr IS NOT NULL
    UNION ALL
    SELECT
        patient_id,
        'bmi' AS input,
        bmi AS value,
        measured_at,
        age_years
    FROM bmi
    WHERE bmi IS NOT NULL
),

ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY patient_id, input ORDER BY measured_at DESC, value DESC) AS nth
    FROM values_at
    WHERE measured_at IS NOT NULL
),

newest AS (
    SELECT
        *,
        max(measured_at) OVER (PARTITION BY patient_id) AS as_of
    FROM ranked
    WHERE nth = 1
),

measurements AS (
    SELECT
        patient_id,
        max(as_of) AS as_of,
        min(measured_at) AS oldest_input_at,
        max(age_years) AS age_years,
        max(CASE WHEN input = 'systolic_bp' THEN value END) AS systolic_bp,
        max(CASE WHEN input = 'cholesterol_total' THEN value END) AS cholesterol_total,
        max(CASE WHEN input = 'hdl' THEN value END) AS hdl,
        max(CASE WHEN input = 'egfr' THEN value END) AS egfr,
        max(CASE WHEN input = 'bmi' THEN value END) AS bmi
    FROM newest
    -- Years ask the calendar of the time zone for each row; most values are younger by any calendar.
    WHERE
        CASE
            WHEN measured_at >= as_of - INTERVAL '1800' DAY THEN TRUE
            ELSE measured_at >= as_of - INTERVAL '5' YEAR
        END
    GROUP BY patient_id
),

cardiovascular_diagnoses AS (
    SELECT
        patient_id,
        max(CASE WHEN condition LIKE 'diabetes%' THEN 1 ELSE 0 END) AS diabetes,
        max(CASE WHEN condition = 'heart_failure' THEN 1 ELSE 0 END) AS heart_failure,
        max(CASE WHEN condition LIKE 'diabetes%' OR condition = 'heart_failure' THEN 0 ELSE 1 END) AS ascvd
    FROM patient_condition_groups
    WHERE
        condition IN (
            'diabetes_type_1', 'diabetes_type_2', 'diabetes_other', 'heart_failure', 'acute_myocardial_infarction',
            'coronary_heart_disease', 'stroke', 'stroke_history', 'transient_ischemic_attack',
            'peripheral_artery_disease'
        )
    GROUP BY patient_id
),

treated AS (
    SELECT
        patient_id,
        max(CASE WHEN family IN ('antihypertensive', 'diuretic') THEN 1 ELSE 0 END) AS treated,
        max(CASE WHEN class = 'statin' THEN 1 ELSE 0 END) AS statin
    FROM medication_list
    WHERE is_active
    GROUP BY patient_id
),

smoking AS (
    SELECT
        patient_id,
        smoking_status,
        row_number() OVER (PARTITION BY patient_id ORDER BY stated_at DESC, smoking_status ASC) AS nth
    FROM smoking_status
)

SELECT
    patients.patient_id,
    measurements.as_of,
    measurements.oldest_input_at,
    coalesce(measurements.age_years, patients.age_years) AS age_years,
    patients.sex,
    patients.race,
    measurements.systolic_bp,
    measurements.cholesterol_total,
    measurements.hdl,
    measurements.egfr,
    measurements.bmi,
    coalesce(cardiovascular_diagnoses.diabetes, 0) AS diabetes,
    coalesce(cardiovascular_diagnoses.ascvd, 0) AS prior_ascvd,
    coalesce(cardiovascular_diagnoses.heart_failure, 0) AS prior_heart_failure,
    coalesce(treated.treated, 0) AS treated,
    coalesce(treated.statin, 0) AS statin,
    CASE WHEN smoking.smoking_status = 'current' THEN 1 WHEN smoking.smoking_status IS NOT NULL THEN 0 END AS smoker
FROM patients_current AS patients
INNER JOIN measurements ON patients.patient_id = measurements.patient_id
LEFT JOIN cardiovascular_diagnoses ON patients.patient_id = cardiovascular_diagnoses.patient_id
LEFT JOIN treated ON patients.patient_id = treated.patient_id
LEFT JOIN smoking ON patients.patient_id = smoking.patient_id AND smoking.nth = 1

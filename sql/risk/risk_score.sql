-- title: Population risk score
-- description: A plain score per patient for population health: one point each for a diagnosis of diabetes, a latest
--   systolic pressure above 140 mmHg and an age above 65, plus the number of active medications. A diagnosis or
--   medication that is not recorded counts as absent. With n_missing above 0 the score is a lower bound.
-- grain: patient_id
-- source: the population view of the project's mission; not a validated score
-- column age_years: latest known age in years; 90 stands for 90 and over
-- column systolic_bp: latest systolic blood pressure, mmHg
-- column systolic_bp_at: when that was measured
-- column diabetes_point: 1 with a diagnosis of diabetes
-- column pressure_point: 1 above 140 mmHg
-- column age_point: 1 above 65 years
-- column active_medications: drugs active at the latest record about the patient
-- column variant: definition
-- column n_missing: inputs without a value, of two: systolic pressure, age
-- column score: sum of the points and the number of medications
WITH pressures AS (
    SELECT
        patient_id,
        systolic_bp,
        measured_at,
        row_number() OVER (PARTITION BY patient_id ORDER BY measured_at DESC, systolic_bp DESC) AS nth
    FROM vital_signs
    WHERE systolic_bp IS NOT NULL
),

diabetic AS (
    SELECT DISTINCT patient_id
    FROM patient_condition_groups
    WHERE condition IN ('diabetes_type_1', 'diabetes_type_2', 'diabetes_other')
),

-- The same drug ordered twice is one medication; one whose drug is not known counts by its code.
taking AS (
    SELECT
        patient_id,
        count(DISTINCT coalesce(drug, code, order_id)) AS active_medications
    FROM medication_list
    WHERE is_active
    GROUP BY patient_id
),

points AS (
    SELECT
        patients.patient_id,
        patients.age_years,
        pressures.systolic_bp,
        pressures.measured_at AS systolic_bp_at,
        coalesce(taking.active_medications, 0) AS active_medications,
        CASE WHEN diabetic.patient_id IS NULL THEN 0 ELSE 1 END AS diabetes_point,
        (pressures.systolic_bp > 140)::INT AS pressure_point,
        (patients.age_years > 65)::INT AS age_point
    FROM patients_current AS patients
    LEFT JOIN pressures ON patients.patient_id = pressures.patient_id AND pressures.nth = 1
    LEFT JOIN diabetic ON patients.patient_id = diabetic.patient_id
    LEFT JOIN taking ON patients.patient_id = taking.patient_id
)

SELECT
    patient_id,
    age_years,
    systolic_bp,
    systolic_bp_at,
    diabetes_point,
    pressure_point,
    age_point,
    active_medications,
    'diabetes, systolic above 140, age above 65, medications' AS variant,
    (pressure_point IS NULL)::INT + (age_point IS NULL)::INT AS n_missing,
    diabetes_point + coalesce(pressure_point, 0) + coalesce(age_point, 0) + active_medications AS score
FROM points

-- title: CHA2DS2-VASc
-- description: Stroke risk per patient from diagnoses over the whole record, latest known age and sex; it is meant for
--   atrial fibrillation, and the view scores everyone and says who has it. A diagnosis that is not recorded counts as
--   absent. The score sums the points that are known; with n_missing above 0 it is a lower bound.
-- grain: patient_id
-- source: Lip, Chest 2010;137:263; cardiomyopathy as in the Quan lists, Med Care 2005;43:1130
-- column age_years: latest known age in years; 90 stands for 90 and over
-- column atrial_fibrillation: 1 with a diagnosis of atrial fibrillation or flutter
-- column heart_failure_points: 1 with heart failure or a cardiomyopathy (dilated, ischemic, toxic, not hypertrophic)
-- column hypertension_points: 1 with hypertension
-- column age_points: 2 from 75 years, 1 from 65
-- column diabetes_points: 1 with diabetes
-- column stroke_points: 2 with stroke, transient ischemic attack (now, in the history or as a sequela) or arterial
--   embolism
-- column vascular_points: 1 with myocardial infarction, peripheral artery disease or aortic atherosclerosis
-- column sex_points: 1 for female
-- column first_recorded_at: time of the earliest diagnosis used
-- column last_recorded_at: time of the latest
-- column variant: definition
-- column n_missing: inputs without a value, of two: age, sex
-- column score: 0 to 9
WITH named AS (
    SELECT
        patient_id,
        recorded_at,
        condition
    FROM patient_condition_groups
    WHERE
        condition IN (
            'atrial_fibrillation', 'heart_failure', 'cardiomyopathy', 'hypertension', 'diabetes_type_1',
            'diabetes_type_2', 'diabetes_other', 'stroke', 'stroke_history', 'transient_ischemic_attack',
            'arterial_embolism', 'acute_myocardial_infarction', 'peripheral_artery_disease', 'aortic_atherosclerosis'
        )
    UNION ALL
    -- The Charlson group adds old infarctions. That of vascular disease holds aneurysms and implants, too: not used.
    SELECT
        patient_id,
        recorded_at,
        'acute_myocardial_infarction' AS condition
    FROM charlson_conditions
    WHERE condition = 'mi'
),

patient_factors AS (
    SELECT
        patient_id,
        min(recorded_at) AS first_recorded_at,
        max(recorded_at) AS last_recorded_at,
        max(CASE WHEN condition = 'atrial_fibrillation' THEN 1 ELSE 0 END) AS atrial_fibrillation,
        max(CASE WHEN condition IN ('heart_failure', 'cardiomyopathy') THEN 1 ELSE 0 END) AS heart_failure_points,
        max(CASE WHEN condition = 'hypertension' THEN 1 ELSE 0 END) AS hypertension_points,
        max(CASE WHEN condition LIKE 'diabetes%' THEN 1 ELSE 0 END) AS diabetes_points,
        max(
            CASE
                WHEN condition IN ('stroke', 'stroke_history', 'transient_ischemic_attack', 'arterial_embolism') THEN 2
                ELSE 0
            END
        ) AS stroke_points,
        max(
            CASE
                WHEN
                    condition IN (
                        'acute_myocardial_infarction', 'peripheral_artery_disease', 'aortic_atherosclerosis'
                    )
                    THEN 1
                ELSE 0
            END
        ) AS vascular_points
    FROM named
    GROUP BY patient_id
),

points AS (
    SELECT
        patients.patient_id,
        patients.age_years,
        patients.sex,
        patient_factors.first_recorded_at,
        patient_factors.last_recorded_at,
        coalesce(patient_factors.atrial_fibrillation, 0) AS atrial_fibrillation,
        coalesce(patient_factors.heart_failure_points, 0) AS heart_failure_points,
        coalesce(patient_factors.hypertension_points, 0) AS hypertension_points,
        coalesce(patient_factors.diabetes_points, 0) AS diabetes_points,
        coalesce(patient_factors.stroke_points, 0) AS stroke_points,
        coalesce(patient_factors.vascular_points, 0) AS vascular_points,
        CASE
            WHEN patients.age_years >= 75 THEN 2
            WHEN patients.age_years >= 65 THEN 1
            WHEN patients.age_years IS NOT NULL THEN 0
        END AS age_points,
        CASE patients.sex WHEN 'female' THEN 1 WHEN 'male' THEN 0 END AS sex_points
    FROM patients_current AS patients
    LEFT JOIN patient_factors ON patients.patient_id = patient_factors.patient_id
)

SELECT
    patient_id,
    age_years,
    sex,
    atrial_fibrillation,
    first_recorded_at,
    last_recorded_at,
    heart_failure_points,
    hypertension_points,
    age_points,
    diabetes_points,
    stroke_points,
    vascular_points,
    sex_points,
    'Lip 2010' AS variant,
    (age_points IS NULL)::INT + (sex_points IS NULL)::INT AS n_missing,
    heart_failure_points + hypertension_points + coalesce(age_points, 0) + diabetes_points + stroke_points
    + vascular_points + coalesce(sex_points, 0) AS score
FROM points

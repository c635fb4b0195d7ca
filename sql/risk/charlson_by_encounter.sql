-- title: Charlson comorbidity index by visit
-- description: Per visit: its own diagnoses, and the patient's others of the 365 days before its end (before its
--   admission while it lasts). Diagnoses in ICD-9-CM and ICD-10; original (1987) and updated (2011) weights. Of the
--   mild and the severe form of one disease only the severe counts. Null without any coded diagnosis.
-- grain: patient_id, encounter_id
-- source: Charlson, J Chronic Dis 1987;40:373, age points J Clin Epidemiol 1994;47:1245; codes Quan, Med Care
--   2005;43:1130; updated weights Quan, Am J Epidemiol 2011;173:676
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column age_years: Age in years at admission; 90 stands for 90 and over
-- column age_points: 0 below 50, then one for each decade, 4 from 80
-- column first_recorded_at: Time of the earliest diagnosis looked at
-- column last_recorded_at: Time of the latest
-- column myocardial_infarction: Myocardial infarction
-- column congestive_heart_failure: Congestive heart failure
-- column peripheral_vascular_disease: Peripheral vascular disease
-- column cerebrovascular_disease: Cerebrovascular disease
-- column dementia: Dementia
-- column chronic_pulmonary_disease: Chronic pulmonary disease
-- column rheumatic_disease: Rheumatic disease
-- column peptic_ulcer_disease: Peptic ulcer disease
-- column mild_liver_disease: Mild liver disease; 0 where moderate or severe liver disease counts
-- column diabetes: Diabetes without chronic complications; 0 where complicated diabetes counts
-- column diabetes_complicated: Diabetes with chronic complications
-- column paralysis: Hemiplegia or paraplegia
-- column renal_disease: Renal disease
-- column malignancy: Any malignancy but skin; 0 where a metastatic tumor counts
-- column severe_liver_disease: Moderate or severe liver disease
-- column metastatic_tumor: Metastatic solid tumor
-- column aids_hiv: AIDS/HIV
-- column n_groups: Groups that count
-- column score_original: Sum of the 1987 weights
-- column score_updated: Sum of the 2011 weights
-- column score_lace: Sum of the weights of LACE (2010); they are those of Schneeweiss 2003
-- column score_original_age: Sum of the 1987 weights and the age points
-- column n_diagnoses: ICD-coded diagnoses looked at
-- column n_missing: Inputs without a value, of two: diagnoses, age
-- column variant: Code lists and weights used
WITH visits AS (
    SELECT
        patient_id,
        encounter_id,
        age_years,
        coalesce(discharged_at, admitted_at) AS until_at
    FROM encounters_current
    WHERE encounter_id IS NOT NULL
),

diagnosed AS (
    SELECT
        visits.patient_id,
        visits.encounter_id,
        count(*) AS n_diagnoses,
        min(diagnoses.recorded_at) AS first_recorded_at,
        max(diagnoses.recorded_at) AS last_recorded_at
    FROM visits
    INNER JOIN patient_conditions AS diagnoses
        ON
            visits.patient_id = diagnoses.patient_id
            AND (
                visits.encounter_id = diagnoses.encounter_id
                OR diagnoses.recorded_at BETWEEN visits.until_at - INTERVAL '365' DAY AND visits.until_at
            )
    WHERE diagnoses.code_system IN ('icd10cm', 'icd10', 'icd9cm', 'icd9')
    GROUP BY visits.patient_id, visits.encounter_id
),

found AS (
    SELECT DISTINCT
        visits.patient_id,
        visits.encounter_id,
        diagnoses.condition
    FROM visits
    INNER JOIN charlson_conditions AS diagnoses
        ON
            visits.patient_id = diagnoses.patient_id
            AND (
                visits.encounter_id = diagnoses.encounter_id
                OR diagnoses.recorded_at BETWEEN visits.until_at - INTERVAL '365' DAY AND visits.until_at
            )
),

kept AS (
    SELECT
        found.patient_id,
        found.encounter_id,
        found.condition,
        weights.original_1987,
        weights.lace_points,
        weights.quan_2011
    FROM found
    INNER JOIN codes.charlson_weights AS weights ON found.condition = weights.condition
    LEFT JOIN found AS severe
        ON
            found.patient_id = severe.patient_id
            AND found.encounter_id = severe.encounter_id
            AND weights.superseded_by = severe.condition
    WHERE severe.condition IS NULL
),

counted AS (
    SELECT
        diagnosed.patient_id,
        diagnosed.encounter_id,
        count(kept.condition) AS n_groups,
        coalesce(sum(kept.original_1987), 0)::INT AS score_original,
        coalesce(sum(kept.quan_2011), 0)::INT AS score_updated,
        coalesce(sum(kept.lace_points), 0)::INT AS score_lace,
        max(CASE WHEN kept.condition = 'mi' THEN 1 ELSE 0 END) AS myocardial_infarction,
        max(CASE WHEN kept.condition = 'chf' THEN 1 ELSE 0 END) AS congestive_heart_failure,
        max(CASE WHEN kept.condition = 'pvd' THEN 1 ELSE 0 END) AS peripheral_vascular_disease,
        max(CASE WHEN kept.condition = 'cebvd' THEN 1 ELSE 0 END) AS cerebrovascular_disease,
        max(CASE WHEN kept.condition = 'dem' THEN 1 ELSE 0 END) AS dementia,
        max(CASE WHEN kept.condition = 'copd' THEN 1 ELSE 0 END) AS chronic_pulmonary_disease,
        max(CASE WHEN kept.condition = 'rhd' THEN 1 ELSE 0 END) AS rheumatic_disease,
        max(CASE WHEN kept.condition = 'pud' THEN 1 ELSE 0 END) AS peptic_ulcer_disease,
        max(CASE WHEN kept.condition = 'mld' THEN 1 ELSE 0 END) AS mild_liver_disease,
        max(CASE WHEN kept.condition = 'dm' THEN 1 ELSE 0 END) AS diabetes,
        max(CASE WHEN kept.condition = 'dmc' THEN 1 ELSE 0 END) AS diabetes_complicated,
        max(CASE WHEN kept.condition = 'hp' THEN 1 ELSE 0 END) AS paralysis,
        max(CASE WHEN kept.condition = 'rnd' THEN 1 ELSE 0 END) AS renal_disease,
        max(CASE WHEN kept.condition = 'mal' THEN 1 ELSE 0 END) AS malignancy,
        max(CASE WHEN kept.condition = 'msld' THEN 1 ELSE 0 END) AS severe_liver_disease,
        max(CASE WHEN kept.condition = 'mst' THEN 1 ELSE 0 END) AS metastatic_tumor,
        max(CASE WHEN kept.condition = 'aidshiv' THEN 1 ELSE 0 END) AS aids_hiv
    FROM diagnosed
    LEFT JOIN kept ON diagnosed.patient_id = kept.patient_id AND diagnosed.encounter_id = kept.encounter_id
    GROUP BY diagnosed.patient_id, diagnosed.encounter_id
),

ages AS (
    SELECT
        patient_id,
        encounter_id,
        age_years,
        CASE
            WHEN age_years >= 80 THEN 4
            WHEN age_years >= 70 THEN 3
            WHEN age_years >= 60 THEN 2
            WHEN age_years >= 50 THEN 1
            WHEN age_years IS NOT NULL THEN 0
        END AS age_points
    FROM visits
)

SELECT
    ages.patient_id,
    ages.encounter_id,
    ages.age_years,
    ages.age_points,
    diagnosed.first_recorded_at,
    diagnosed.last_recorded_at,
    counted.myocardial_infarction,
    counted.congestive_heart_failure,
    counted.peripheral_vascular_disease,
    counted.cerebrovascular_disease,
    counted.dementia,
    counted.chronic_pulmonary_disease,
    counted.rheumatic_disease,
    counted.peptic_ulcer_disease,
    counted.mild_liver_disease,
    counted.diabetes,
    counted.diabetes_complicated,
    counted.paralysis,
    counted.renal_disease,
    counted.malignancy,
    counted.severe_liver_disease,
    counted.metastatic_tumor,
    counted.aids_hiv,
    counted.n_groups,
    counted.score_original,
    counted.score_updated,
    counted.score_lace,
    'Quan 2005 codes; Charlson 1987 and Quan 2011 weights' AS variant,
    counted.score_original + ages.age_points AS score_original_age,
    coalesce(diagnosed.n_diagnoses, 0) AS n_diagnoses,
    (diagnosed.n_diagnoses IS NULL)::INT + (ages.age_years IS NULL)::INT AS n_missing
FROM ages
LEFT JOIN diagnosed ON ages.patient_id = diagnosed.patient_id AND ages.encounter_id = diagnosed.encounter_id
LEFT JOIN counted ON ages.patient_id = counted.patient_id AND ages.encounter_id = counted.encounter_id

-- title: Charlson comorbidity index of a scope
-- description: Groups, hierarchy and sums once for every scope of comorbidity_diagnoses, which says what ts does. Of
--   the mild and the severe form of one disease only the severe counts. Null without any coded diagnosis.
-- grain: patient_id, encounter_id
-- parameters: scope, ts
-- source: Charlson, J Chronic Dis 1987;40:373, age points J Clin Epidemiol 1994;47:1245; codes Quan, Med Care
--   2005;43:1130; updated weights Quan, Am J Epidemiol 2011;173:676
-- column encounter_id: pseudonym of the visit; null for the scope patient
-- column age_years: age in years; 90 stands for 90 and over
-- column age_points: 0 below 50, then one for each decade, 4 from 80
-- column first_recorded_at: time of the earliest diagnosis looked at
-- column last_recorded_at: time of the latest
-- column myocardial_infarction: myocardial infarction
-- column congestive_heart_failure: congestive heart failure
-- column peripheral_vascular_disease: peripheral vascular disease
-- column cerebrovascular_disease: cerebrovascular disease
-- column dementia: dementia
-- column chronic_pulmonary_disease: chronic pulmonary disease
-- column rheumatic_disease: rheumatic disease
-- column peptic_ulcer_disease: peptic ulcer disease
-- column mild_liver_disease: mild liver disease; 0 where moderate or severe liver disease counts
-- column diabetes: diabetes without chronic complications; 0 where complicated diabetes counts
-- column diabetes_complicated: diabetes with chronic complications
-- column paralysis: hemiplegia or paraplegia
-- column renal_disease: renal disease
-- column malignancy: any malignancy but skin; 0 where a metastatic tumor counts
-- column severe_liver_disease: moderate or severe liver disease
-- column metastatic_tumor: metastatic solid tumor
-- column aids_hiv: AIDS/HIV
-- column n_groups: groups that count
-- column score_original: sum of the 1987 weights
-- column score_updated: sum of the 2011 weights
-- column score_lace: sum of the weights of LACE (2010); they are those of Schneeweiss 2003
-- column score_original_age: sum of the 1987 weights and the age points
-- column n_diagnoses: ICD-coded diagnoses looked at
-- column n_missing: inputs without a value, of two: diagnoses, age
-- column variant: code lists and weights used

-- Not cut into concept views: half of it is one line for each group.
WITH diagnoses AS (
    SELECT * FROM comorbidity_diagnoses(scope, ts)
),

diagnosis_counts AS (
    SELECT
        patient_id,
        encounter_id,
        max(age_years) AS age_years,
        count(code_system) AS n_diagnoses,
        min(recorded_at) AS first_recorded_at,
        max(recorded_at) AS last_recorded_at
    FROM diagnoses
    GROUP BY patient_id, encounter_id
),

comorbidities AS (
    SELECT DISTINCT
        diagnoses.patient_id,
        diagnoses.encounter_id,
        groups.condition
    FROM diagnoses
    INNER JOIN comorbidity_codes AS groups
        ON diagnoses.code = groups.code AND diagnoses.code_system = groups.code_system
    WHERE groups.scheme = 'charlson'
),

effective_comorbidities AS (
    SELECT
        mild.patient_id,
        mild.encounter_id,
        mild.condition,
        weights.original_1987,
        weights.quan_2011,
        weights.lace_points
    FROM comorbidities AS mild
    INNER JOIN codes.charlson_weights AS weights ON mild.condition = weights.condition
    LEFT JOIN comorbidities AS severe
        ON
            mild.patient_id = severe.patient_id
            AND mild.encounter_id = severe.encounter_id
            AND weights.superseded_by = severe.condition
    WHERE severe.condition IS NULL
),

totals AS (
    SELECT
        dc.patient_id,
        dc.encounter_id,
        max(dc.age_years) AS age_years,
        max(dc.n_diagnoses) AS n_diagnoses,
        max(dc.first_recorded_at) AS first_recorded_at,
        max(dc.last_recorded_at) AS last_recorded_at,
        CASE WHEN max(dc.n_diagnoses) > 0 THEN count(ec.condition) END AS n_groups,
        sum(CASE WHEN dc.n_diagnoses > 0 THEN coalesce(ec.original_1987, 0) END)::INT AS score_original,
        sum(CASE WHEN dc.n_diagnoses > 0 THEN coalesce(ec.quan_2011, 0) END)::INT AS score_updated,
        sum(CASE WHEN dc.n_diagnoses > 0 THEN coalesce(ec.lace_points, 0) END)::INT AS score_lace,
        max(CASE WHEN ec.condition = 'mi' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS myocardial_infarction,
        max(CASE WHEN ec.condition = 'chf' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS congestive_heart_failure,
        max(CASE WHEN ec.condition = 'pvd' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS peripheral_vascular_disease,
        max(CASE WHEN ec.condition = 'cebvd' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS cerebrovascular_disease,
        max(CASE WHEN ec.condition = 'dem' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS dementia,
        max(CASE WHEN ec.condition = 'copd' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS chronic_pulmonary_disease,
        max(CASE WHEN ec.condition = 'rhd' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS rheumatic_disease,
        max(CASE WHEN ec.condition = 'pud' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS peptic_ulcer_disease,
        max(CASE WHEN ec.condition = 'mld' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS mild_liver_disease,
        max(CASE WHEN ec.condition = 'dm' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS diabetes,
        max(CASE WHEN ec.condition = 'dmc' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS diabetes_complicated,
        max(CASE WHEN ec.condition = 'hp' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS paralysis,
        max(CASE WHEN ec.condition = 'rnd' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS renal_disease,
        max(CASE WHEN ec.condition = 'mal' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS malignancy,
        max(CASE WHEN ec.condition = 'msld' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS severe_liver_disease,
        max(CASE WHEN ec.condition = 'mst' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS metastatic_tumor,
        max(CASE WHEN ec.condition = 'aidshiv' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS aids_hiv
    FROM diagnosis_counts AS dc
    LEFT JOIN effective_comorbidities AS ec
        ON dc.patient_id = ec.patient_id AND dc.encounter_id = ec.encounter_id
    GROUP BY dc.patient_id, dc.encounter_id
),

subjects AS (
    SELECT
        *,
        CASE
            WHEN age_years >= 80 THEN 4
            WHEN age_years >= 70 THEN 3
            WHEN age_years >= 60 THEN 2
            WHEN age_years >= 50 THEN 1
            WHEN age_years IS NOT NULL THEN 0
        END AS age_points
    FROM totals
)

SELECT
    patient_id,
    nullif(encounter_id, '') AS encounter_id,
    age_years,
    age_points,
    first_recorded_at,
    last_recorded_at,
    myocardial_infarction,
    congestive_heart_failure,
    peripheral_vascular_disease,
    cerebrovascular_disease,
    dementia,
    chronic_pulmonary_disease,
    rheumatic_disease,
    peptic_ulcer_disease,
    mild_liver_disease,
    diabetes,
    diabetes_complicated,
    paralysis,
    renal_disease,
    malignancy,
    severe_liver_disease,
    metastatic_tumor,
    aids_hiv,
    n_groups,
    score_original,
    score_updated,
    score_lace,
    'Quan 2005 codes; Charlson 1987 and Quan 2011 weights' AS variant,
    score_original + age_points AS score_original_age,
    n_diagnoses,
    (n_diagnoses = 0)::INT + (age_years IS NULL)::INT AS n_missing
FROM subjects

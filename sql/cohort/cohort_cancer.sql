-- title: Cohort: cancer by group
-- description: Patients with a diagnosis of cancer, one row per group of sites. Confirmed by two diagnosis days or an
--   antineoplastic drug, else possible. Carcinoma in situ, benign tumors and a history of cancer are not looked at.
-- grain: patient_id, cancer_group
-- source: codes.conditions
-- column cancer_group: group such as breast, lung, leukemia; metastatic for secondary cancers
-- column index_at: time of the first diagnosis of the group
-- column certainty: confirmed or possible
-- column last_diagnosis_at: time of the latest
-- column n_diagnosis_days: days with a diagnosis of the group
-- column metastatic: whether a secondary cancer of any site is diagnosed
-- column metastatic_at: time of the first such diagnosis
-- column antineoplastic: whether an antineoplastic drug was ever ordered
-- column age_years: least age stated with a diagnosis of the group; 90 stands for 90 and over
WITH diagnoses AS (
    SELECT
        patient_id,
        recorded_at,
        age_years,
        CASE WHEN condition LIKE 'cancer_%' THEN substr(condition, 8) ELSE condition END AS cancer_group
    FROM patient_condition_groups
    WHERE condition LIKE 'cancer_%' OR condition IN ('leukemia', 'lymphoma', 'melanoma', 'multiple_myeloma')
),

totals AS (
    SELECT
        patient_id,
        cancer_group,
        min(recorded_at) AS index_at,
        max(recorded_at) AS last_diagnosis_at,
        count(DISTINCT date_trunc('day', recorded_at)) AS n_diagnosis_days,
        min(age_years) AS age_years
    FROM diagnoses
    GROUP BY patient_id, cancer_group
),

spread AS (
    SELECT
        patient_id,
        index_at AS metastatic_at
    FROM totals
    WHERE cancer_group = 'metastatic'
),

drugs AS (
    SELECT DISTINCT patient_id
    FROM medication_list
    WHERE family = 'antineoplastic' AND state <> 'cancelled'
)

SELECT
    totals.patient_id,
    totals.cancer_group,
    totals.index_at,
    CASE
        WHEN totals.n_diagnosis_days >= 2 OR drugs.patient_id IS NOT NULL THEN 'confirmed'
        ELSE 'possible'
    END AS certainty,
    totals.last_diagnosis_at,
    totals.n_diagnosis_days,
    spread.patient_id IS NOT NULL AS metastatic,
    spread.metastatic_at,
    drugs.patient_id IS NOT NULL AS antineoplastic,
    totals.age_years
FROM totals
LEFT JOIN spread ON totals.patient_id = spread.patient_id
LEFT JOIN drugs ON totals.patient_id = drugs.patient_id

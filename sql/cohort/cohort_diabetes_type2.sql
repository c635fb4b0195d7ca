-- title: Cohort: type 2 diabetes
-- description: Patients with evidence of type 2 diabetes: days with a diagnosis of it, days with an HbA1c of 6.5 % or
--   more, and a glucose-lowering drug other than insulin. Confirmed by two pieces of evidence or more, possible by one;
--   a drug alone is no evidence. Patients with more days of type 1 than of type 2 diagnoses are left out.
-- grain: patient_id
-- source: after American Diabetes Association, Diabetes Care 2024;47 Suppl 1:S20 (HbA1c) and the eMERGE algorithm
-- column index_at: time of the earliest evidence
-- column certainty: confirmed or possible
-- column n_evidence: days with a diagnosis, days with a high HbA1c, and 1 for a drug
-- column n_diagnosis_days: days with a diagnosis of type 2 diabetes
-- column first_diagnosis_at: time of the first
-- column n_type_1_days: days with a diagnosis of type 1 diabetes
-- column n_high_hba1c_days: days with an HbA1c of 6.5 % or more
-- column first_high_hba1c_at: time of the first
-- column last_hba1c: latest HbA1c, percent
-- column last_hba1c_at: when it was observed
-- column glucose_lowering_drug: whether such a drug, other than insulin, was ever ordered
-- column age_years: age in years at the index, where the evidence tells it; 90 stands for 90 and over
WITH diagnoses AS (
    SELECT
        patient_id,
        count(DISTINCT CASE WHEN condition = 'diabetes_type_2' THEN date_trunc('day', recorded_at) END)
            AS n_diagnosis_days,
        count(DISTINCT CASE WHEN condition = 'diabetes_type_1' THEN date_trunc('day', recorded_at) END)
            AS n_type_1_days,
        min(CASE WHEN condition = 'diabetes_type_2' THEN recorded_at END) AS first_diagnosis_at,
        min(CASE WHEN condition = 'diabetes_type_2' THEN age_years END) AS age_years
    FROM patient_condition_groups
    WHERE condition IN ('diabetes_type_1', 'diabetes_type_2')
    GROUP BY patient_id
),

hba1c AS (
    SELECT
        patient_id,
        value,
        observed_at,
        age_years,
        row_number() OVER (PARTITION BY patient_id ORDER BY observed_at DESC, record_id DESC, ordinal DESC) AS nth
    FROM lab_results
    WHERE
        analyte = 'hba1c'
        AND value IS NOT NULL
        AND comparator IS NULL
        AND coalesce(plausible, TRUE)
        AND observed_at IS NOT NULL
),

results AS (
    SELECT
        patient_id,
        count(DISTINCT CASE WHEN value >= 6.5 THEN date_trunc('day', observed_at) END) AS n_high_hba1c_days,
        min(CASE WHEN value >= 6.5 THEN observed_at END) AS first_high_hba1c_at,
        min(CASE WHEN value >= 6.5 THEN age_years END) AS age_years,
        max(CASE WHEN nth = 1 THEN value END) AS last_hba1c,
        max(CASE WHEN nth = 1 THEN observed_at END) AS last_hba1c_at
    FROM hba1c
    GROUP BY patient_id
),

drugs AS (
    SELECT DISTINCT patient_id
    FROM medication_list
    WHERE family = 'antidiabetic' AND class <> 'insulin' AND state <> 'cancelled'
),

evidence AS (
    SELECT
        coalesce(diagnoses.patient_id, results.patient_id) AS patient_id,
        coalesce(diagnoses.n_diagnosis_days, 0) AS n_diagnosis_days,
        coalesce(diagnoses.n_type_1_days, 0) AS n_type_1_days,
        coalesce(results.n_high_hba1c_days, 0) AS n_high_hba1c_days,
        diagnoses.first_diagnosis_at,
        results.first_high_hba1c_at,
        results.last_hba1c,
        results.last_hba1c_at,
        CASE
            WHEN results.first_high_hba1c_at IS NULL THEN diagnoses.first_diagnosis_at
            WHEN diagnoses.first_diagnosis_at <= results.first_high_hba1c_at THEN diagnoses.first_diagnosis_at
            ELSE results.first_high_hba1c_at
        END AS index_at,
        CASE
            WHEN results.first_high_hba1c_at IS NULL THEN diagnoses.age_years
            WHEN diagnoses.first_diagnosis_at <= results.first_high_hba1c_at THEN diagnoses.age_years
            ELSE results.age_years
        END AS age_years
    FROM diagnoses
    FULL OUTER JOIN results ON diagnoses.patient_id = results.patient_id
),

weighed AS (
    SELECT
        evidence.*,
        drugs.patient_id IS NOT NULL AS glucose_lowering_drug,
        evidence.n_diagnosis_days + evidence.n_high_hba1c_days
        + CASE WHEN drugs.patient_id IS NULL THEN 0 ELSE 1 END AS n_evidence
    FROM evidence
    LEFT JOIN drugs ON evidence.patient_id = drugs.patient_id
    WHERE
        evidence.n_diagnosis_days + evidence.n_high_hba1c_days > 0
        AND evidence.n_type_1_days <= evidence.n_diagnosis_days
)

SELECT
    patient_id,
    index_at,
    CASE WHEN n_evidence >= 2 THEN 'confirmed' ELSE 'possible' END AS certainty,
    n_evidence,
    n_diagnosis_days,
    first_diagnosis_at,
    n_type_1_days,
    n_high_hba1c_days,
    first_high_hba1c_at,
    last_hba1c,
    last_hba1c_at,
    glucose_lowering_drug,
    age_years
FROM weighed

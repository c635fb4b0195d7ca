-- title: Cohort: pregnancy
-- description: Pregnancies of a patient, from diagnoses of pregnancy, childbirth and the puerperium and from weeks of
--   gestation (Z3A). Diagnoses more than 180 days apart belong to different pregnancies. Patients stated to be male are
--   left out. Where a code names the weeks, the beginning is counted back from it.
-- grain: patient_id, pregnancy
-- source: ICD-10-CM chapter 15 and Z3A; ICD-9-CM 630 to 679
-- column patient_id: Pseudonym of the patient
-- column pregnancy: 1 is the first on record
-- column index_at: Time of the first diagnosis
-- column last_diagnosis_at: Time of the latest
-- column n_diagnosis_days: Days with a diagnosis
-- column weeks: Most weeks of gestation that a code names
-- column estimated_start_at: Beginning by these weeks
-- column delivered: Whether a delivery or a live birth is coded
-- column delivered_at: Time of the first such code
-- column ended_early: Whether an abortive outcome is coded
-- column gestational_diabetes: Whether gestational diabetes is coded
-- column age_years: Least age stated with a diagnosis; 90 stands for 90 and over
WITH diagnoses AS (
    SELECT
        named.patient_id,
        named.recorded_at,
        named.code,
        named.code_system,
        named.condition,
        named.age_years,
        CASE
            WHEN
                named.code_system = 'icd10cm'
                AND named.code LIKE 'Z3A__'
                AND substr(named.code, 4, 2) BETWEEN '08' AND '42'
                THEN substr(named.code, 4, 2)::INT
        END AS weeks
    FROM patient_condition_groups AS named
    LEFT JOIN patients_current AS patients ON named.patient_id = patients.patient_id
    WHERE
        named.condition IN ('pregnancy', 'gestational_diabetes')
        AND named.recorded_at IS NOT NULL
        AND coalesce(patients.sex, 'unknown') <> 'male'
),

spaced AS (
    SELECT
        *,
        lag(recorded_at) OVER (PARTITION BY patient_id ORDER BY recorded_at) AS previous_at
    FROM diagnoses
),

numbered AS (
    SELECT
        *,
        sum(CASE WHEN previous_at >= recorded_at - INTERVAL '180' DAY THEN 0 ELSE 1 END) OVER (
            PARTITION BY patient_id ORDER BY recorded_at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS pregnancy
    FROM spaced
)

SELECT
    patient_id,
    pregnancy::INT AS pregnancy,
    min(recorded_at) AS index_at,
    max(recorded_at) AS last_diagnosis_at,
    count(DISTINCT date_trunc('day', recorded_at)) AS n_diagnosis_days,
    max(weeks) AS weeks,
    min(recorded_at - weeks * INTERVAL '7' DAY) AS estimated_start_at,
    max(
        CASE
            WHEN code_system = 'icd10cm' AND (code LIKE 'O80%' OR code LIKE 'O82%' OR code LIKE 'Z37%') THEN 1
            WHEN code_system = 'icd9cm' AND (code LIKE '650%' OR code LIKE 'V27%') THEN 1
            ELSE 0
        END
    ) = 1 AS delivered,
    min(
        CASE
            WHEN code_system = 'icd10cm' AND (code LIKE 'O80%' OR code LIKE 'O82%' OR code LIKE 'Z37%') THEN recorded_at
            WHEN code_system = 'icd9cm' AND (code LIKE '650%' OR code LIKE 'V27%') THEN recorded_at
        END
    ) AS delivered_at,
    max(
        CASE
            WHEN code_system = 'icd10cm' AND substr(code, 1, 3) BETWEEN 'O00' AND 'O08' THEN 1
            WHEN code_system = 'icd9cm' AND substr(code, 1, 3) BETWEEN '630' AND '639' THEN 1
            ELSE 0
        END
    ) = 1 AS ended_early,
    max(CASE WHEN condition = 'gestational_diabetes' THEN 1 ELSE 0 END) = 1 AS gestational_diabetes,
    min(age_years) AS age_years
FROM numbered
GROUP BY patient_id, pregnancy

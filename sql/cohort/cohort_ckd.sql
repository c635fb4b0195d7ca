-- title: Cohort: chronic kidney disease
-- description: Patients with chronic kidney disease by laboratory (eGFR below 60 in every result of a stretch of 90
--   days or more, or an albumin to creatinine ratio of 30 mg/g and more twice, 90 days apart), by diagnosis, or both;
--   with stages of their latest results. Estimates from age 90 are upper bounds (see egfr).
-- grain: patient_id
-- source: KDIGO 2012 Clinical Practice Guideline, Kidney Int Suppl 2013;3:1
-- column index_at: time of the earliest evidence
-- column basis: laboratory, diagnosis or both
-- column low_from: first result of the first stretch below 60
-- column low_confirmed_at: result with which that stretch reached 90 days
-- column albuminuria_confirmed_at: second high ratio, 90 days or more after the first
-- column n_diagnosis_days: days with a diagnosis
-- column first_diagnosis_at: time of the first
-- column diagnosed_stage: highest stage that a code names (1 to 5, 6 end stage on dialysis)
-- column egfr: latest estimate, mL/min/1.73 m2
-- column egfr_at: when its creatinine was observed
-- column ckd_stage: G1 to G5 of the latest estimate
-- column uacr: latest albumin to creatinine ratio, mg/g
-- column uacr_at: when it was observed
-- column albuminuria_stage: A1 below 30, A2 up to 300, A3 above
-- column kidney_replacement: whether dialysis or a kidney transplant is recorded

-- Not cut into concept views: nothing else reads one of its steps.
WITH estimates AS (
    SELECT
        patient_id,
        observed_at,
        egfr,
        ckd_stage,
        sum(CASE WHEN egfr >= 60 THEN 1 ELSE 0 END) OVER (
            PARTITION BY patient_id ORDER BY observed_at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS stretch,
        row_number() OVER (PARTITION BY patient_id ORDER BY observed_at DESC, record_id DESC, ordinal DESC) AS nth
    FROM egfr
    WHERE egfr IS NOT NULL AND observed_at IS NOT NULL
),

-- A result of 60 or more begins a new number, so that the low ones between two share theirs.
low AS (
    SELECT
        patient_id,
        observed_at,
        min(observed_at) OVER (PARTITION BY patient_id, stretch) AS low_from
    FROM estimates
    WHERE egfr < 60
),

confirmed AS (
    SELECT
        patient_id,
        min(low_from) AS low_from,
        min(observed_at) AS low_confirmed_at
    FROM low
    WHERE observed_at >= low_from + INTERVAL '90' DAY
    GROUP BY patient_id
),

latest AS (
    SELECT
        patient_id,
        egfr,
        observed_at AS egfr_at,
        ckd_stage
    FROM estimates
    WHERE nth = 1
),

ratios AS (
    SELECT
        patient_id,
        value,
        observed_at,
        min(CASE WHEN value >= 30 THEN observed_at END) OVER (PARTITION BY patient_id) AS first_high_at,
        row_number() OVER (PARTITION BY patient_id ORDER BY observed_at DESC, record_id DESC, ordinal DESC) AS nth
    FROM lab_results
    WHERE
        analyte = 'uacr'
        AND value IS NOT NULL
        AND comparator IS NULL
        AND coalesce(plausible, TRUE)
        AND observed_at IS NOT NULL
),

albuminuria AS (
    SELECT
        patient_id,
        min(first_high_at) AS first_high_at,
        min(CASE WHEN value >= 30 AND observed_at >= first_high_at + INTERVAL '90' DAY THEN observed_at END)
            AS albuminuria_confirmed_at,
        max(CASE WHEN nth = 1 THEN value END) AS uacr,
        max(CASE WHEN nth = 1 THEN observed_at END) AS uacr_at
    FROM ratios
    GROUP BY patient_id
),

diagnoses AS (
    SELECT
        patient_id,
        count(
            DISTINCT CASE WHEN condition = 'chronic_kidney_disease' THEN date_trunc('day', recorded_at) END
        ) AS n_diagnosis_days,
        min(CASE WHEN condition = 'chronic_kidney_disease' THEN recorded_at END) AS first_diagnosis_at,
        max(
            CASE
                WHEN code_system = 'icd10cm' AND code IN ('N181', 'N182', 'N184', 'N185', 'N186')
                    THEN substr(code, 4, 1)
                WHEN code_system = 'icd10cm' AND code LIKE 'N183%' THEN '3'
                WHEN code_system = 'icd9cm' AND code IN ('5851', '5852', '5853', '5854', '5855', '5856')
                    THEN substr(code, 4, 1)
            END
        ) AS diagnosed_stage,
        max(CASE WHEN condition = 'dialysis_or_kidney_transplant' THEN 1 ELSE 0 END) AS replaced
    FROM patient_condition_groups
    WHERE condition IN ('chronic_kidney_disease', 'dialysis_or_kidney_transplant')
    GROUP BY patient_id
),

everyone AS (
    SELECT patient_id FROM confirmed
    UNION DISTINCT
    SELECT patient_id FROM albuminuria
    WHERE albuminuria_confirmed_at IS NOT NULL
    UNION DISTINCT
    SELECT patient_id FROM diagnoses
    WHERE n_diagnosis_days > 0
),

evidence AS (
    SELECT
        everyone.patient_id,
        confirmed.low_from,
        confirmed.low_confirmed_at,
        albuminuria.albuminuria_confirmed_at,
        CASE WHEN albuminuria.albuminuria_confirmed_at IS NOT NULL THEN albuminuria.first_high_at END
            AS albuminuria_from,
        coalesce(diagnoses.n_diagnosis_days, 0) AS n_diagnosis_days,
        diagnoses.first_diagnosis_at,
        diagnoses.diagnosed_stage,
        latest.egfr,
        latest.egfr_at,
        latest.ckd_stage,
        albuminuria.uacr,
        albuminuria.uacr_at,
        coalesce(diagnoses.replaced, 0) = 1 AS kidney_replacement
    FROM everyone
    LEFT JOIN confirmed ON everyone.patient_id = confirmed.patient_id
    LEFT JOIN albuminuria ON everyone.patient_id = albuminuria.patient_id
    LEFT JOIN diagnoses ON everyone.patient_id = diagnoses.patient_id
    LEFT JOIN latest ON everyone.patient_id = latest.patient_id
)

SELECT
    patient_id,
    least(
        coalesce(low_from, albuminuria_from, first_diagnosis_at),
        coalesce(albuminuria_from, first_diagnosis_at, low_from),
        coalesce(first_diagnosis_at, low_from, albuminuria_from)
    ) AS index_at,
    CASE
        WHEN n_diagnosis_days = 0 THEN 'laboratory'
        WHEN low_confirmed_at IS NULL AND albuminuria_confirmed_at IS NULL THEN 'diagnosis'
        ELSE 'both'
    END AS basis,
    low_from,
    low_confirmed_at,
    albuminuria_confirmed_at,
    n_diagnosis_days,
    first_diagnosis_at,
    diagnosed_stage,
    egfr,
    egfr_at,
    ckd_stage,
    uacr,
    uacr_at,
    CASE WHEN uacr > 300 THEN 'A3' WHEN uacr >= 30 THEN 'A2' WHEN uacr < 30 THEN 'A1' END AS albuminuria_stage,
    kidney_replacement
FROM evidence

-- title: Kidney function before contrast
-- description: Each study with a contrast agent, and the last creatinine and eGFR before it within 90 days. Low kidney
--   function (eGFR below 30) calls for a decision before contrast is given; an old or missing value calls for a test.
-- grain: study_key
-- source: ACR Manual on Contrast Media (2024), eGFR below 30 mL/min/1.73 m2; look-back of 90 days is ours
-- column age_years: age in years at that time; 90 stands for 90 and over
-- column creatinine: last creatinine before the study, mg/dL
-- column creatinine_at: when that creatinine was observed
-- column days_before: days from that creatinine to the study
-- column egfr: estimate from that creatinine, mL/min/1.73 m2; null below 18 years
-- column ckd_stage: stage of that estimate
-- column finding: at-risk (eGFR below 30), adequate, no-estimate (creatinine but no eGFR), or no-creatinine
WITH studies AS (
    SELECT
        study_key,
        patient_id,
        accession_id,
        study_at,
        modality,
        body_parts,
        age_years
    FROM imaging_studies
    WHERE contrast AND modality IN ('CT', 'MR', 'XA', 'RF', 'NM', 'PT', 'CR', 'DX', 'MG')
),

matched AS (
    SELECT
        s.study_key,
        g.creatinine,
        g.observed_at,
        g.egfr,
        g.ckd_stage,
        row_number() OVER (
            PARTITION BY s.study_key ORDER BY g.observed_at DESC, g.record_id DESC, g.ordinal DESC
        ) AS place
    FROM studies AS s
    INNER JOIN egfr AS g
        ON
            s.patient_id = g.patient_id
            AND g.creatinine IS NOT NULL
            AND s.study_at >= g.observed_at
            AND g.observed_at >= s.study_at - INTERVAL '90' DAY
)

SELECT
    s.study_key,
    s.patient_id,
    s.accession_id,
    s.study_at,
    s.modality,
    s.body_parts,
    s.age_years,
    m.creatinine,
    m.observed_at AS creatinine_at,
    date_diff('second', m.observed_at, s.study_at) / 86400.0 AS days_before,
    m.egfr,
    m.ckd_stage,
    CASE
        WHEN m.study_key IS NULL THEN 'no-creatinine'
        WHEN m.egfr IS NULL THEN 'no-estimate'
        WHEN m.egfr < 30 THEN 'at-risk'
        ELSE 'adequate'
    END AS finding
FROM studies AS s
LEFT JOIN matched AS m ON s.study_key = m.study_key AND m.place = 1

-- title: Cohort: contrast CT with low eGFR
-- description: CT studies with a contrast agent in patients whose latest eGFR of the 90 days before is below 45, with
--   the creatinine of the 72 hours after. Studies without an eGFR before them are not there: whether they were safe is
--   not known.
-- grain: patient_id, study_key
-- source: ACR Manual on Contrast Media 2024: risk below 30; below 45 as in KDIGO G3b
-- column encounter_id: pseudonym of the visit; null where none is known
-- column egfr: latest estimate up to the study, mL/min/1.73 m2
-- column egfr_at: when its creatinine was observed
-- column ckd_stage: its stage
-- column creatinine: that creatinine, mg/dL
-- column risk: high below 30, elevated below 45
-- column creatinine_after: highest creatinine of the 72 hours after, mg/dL
-- column creatinine_after_at: when the first of these was observed
-- column kidney_injury: whether it is 0.3 mg/dL or 1.5 times above the one before; null without one after
WITH studies AS (
    SELECT
        patient_id,
        study_key,
        encounter_id,
        study_at
    FROM imaging_studies
    WHERE contrast AND modality = 'CT'
),

before AS (
    SELECT
        studies.patient_id,
        studies.study_key,
        studies.encounter_id,
        studies.study_at,
        egfr.egfr,
        egfr.observed_at AS egfr_at,
        egfr.ckd_stage,
        egfr.creatinine,
        row_number() OVER (
            PARTITION BY studies.patient_id, studies.study_key
            ORDER BY egfr.observed_at DESC, egfr.record_id DESC, egfr.ordinal DESC
        ) AS nth
    FROM studies
    INNER JOIN egfr
        ON
            studies.patient_id = egfr.patient_id
            AND studies.study_at >= egfr.observed_at
            AND studies.study_at <= egfr.observed_at + INTERVAL '90' DAY
    WHERE egfr.egfr IS NOT NULL
),

low AS (
    SELECT *
    FROM before
    WHERE nth = 1 AND egfr < 45
),

after AS (
    SELECT
        low.patient_id,
        low.study_key,
        max(later.creatinine) AS creatinine_after,
        min(later.observed_at) AS creatinine_after_at
    FROM low
    INNER JOIN egfr AS later
        ON
            low.patient_id = later.patient_id
            AND low.study_at < later.observed_at
            AND low.study_at >= later.observed_at - INTERVAL '72' HOUR
    WHERE later.creatinine IS NOT NULL
    GROUP BY low.patient_id, low.study_key
)

SELECT
    low.patient_id,
    low.study_key,
    low.encounter_id,
    low.study_at,
    low.egfr,
    low.egfr_at,
    low.ckd_stage,
    low.creatinine,
    CASE WHEN low.egfr < 30 THEN 'high' ELSE 'elevated' END AS risk,
    after.creatinine_after,
    after.creatinine_after_at,
    round((after.creatinine_after - low.creatinine) * 1000) >= 300
    OR round(after.creatinine_after / low.creatinine * 1000) >= 1500 AS kidney_injury
FROM low
LEFT JOIN after ON low.patient_id = after.patient_id AND low.study_key = after.study_key

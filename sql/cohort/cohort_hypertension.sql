-- title: Cohort: hypertension
-- description: Patients with a diagnosis of hypertension, or with a mean blood pressure of 140 systolic or 90 diastolic
--   and more on two days or more. Confirmed by two diagnosis days, by a diagnosis with a blood pressure drug or with
--   two days of high pressure; possible by one diagnosis; undiagnosed by pressure alone. Pressures in emergency and
--   inpatient visits do not count, where pain and illness raise them.
-- grain: patient_id
-- source: after Whelton, Hypertension 2018;71:1269, with the thresholds of stage 2
-- column index_at: time of the earliest evidence
-- column certainty: confirmed, possible or undiagnosed
-- column n_diagnosis_days: days with a diagnosis
-- column first_diagnosis_at: time of the first
-- column n_high_days: outpatient days with a mean of 140/90 or more
-- column first_high_at: first measurement of the first such day
-- column n_measured_days: outpatient days with a blood pressure
-- column antihypertensive: whether a blood pressure drug was ever ordered
-- column age_years: least age stated with the diagnosis, else with the high pressure; 90 stands for 90 and over
WITH diagnoses AS (
    SELECT
        patient_id,
        count(DISTINCT date_trunc('day', recorded_at)) AS n_diagnosis_days,
        min(recorded_at) AS first_diagnosis_at,
        min(age_years) AS age_years
    FROM patient_condition_groups
    WHERE condition = 'hypertension'
    GROUP BY patient_id
),

days AS (
    SELECT
        vitals.patient_id,
        min(vitals.measured_at) AS first_at,
        min(vitals.age_years) AS age_years,
        avg(vitals.systolic_bp) >= 140 OR avg(vitals.diastolic_bp) >= 90 AS is_high
    FROM vital_signs AS vitals
    LEFT JOIN encounters_current AS visits
        ON vitals.patient_id = visits.patient_id AND vitals.encounter_id = visits.encounter_id
    WHERE
        (vitals.systolic_bp IS NOT NULL OR vitals.diastolic_bp IS NOT NULL)
        AND coalesce(visits.class, 'outpatient') NOT IN ('inpatient', 'emergency')
    GROUP BY vitals.patient_id, date_trunc('day', vitals.measured_at)
),

pressures AS (
    SELECT
        patient_id,
        count(*) AS n_measured_days,
        count(CASE WHEN is_high THEN 1 END) AS n_high_days,
        min(CASE WHEN is_high THEN first_at END) AS first_high_at,
        min(CASE WHEN is_high THEN age_years END) AS age_years
    FROM days
    GROUP BY patient_id
),

drugs AS (
    SELECT DISTINCT patient_id
    FROM medication_list
    WHERE family = 'antihypertensive' AND state <> 'cancelled'
),

evidence AS (
    SELECT
        coalesce(diagnoses.patient_id, pressures.patient_id) AS patient_id,
        coalesce(diagnoses.n_diagnosis_days, 0) AS n_diagnosis_days,
        diagnoses.first_diagnosis_at,
        coalesce(pressures.n_high_days, 0) AS n_high_days,
        pressures.first_high_at,
        coalesce(pressures.n_measured_days, 0) AS n_measured_days,
        coalesce(diagnoses.age_years, pressures.age_years) AS age_years
    FROM diagnoses
    FULL OUTER JOIN pressures ON diagnoses.patient_id = pressures.patient_id
)

SELECT
    evidence.patient_id,
    CASE
        WHEN evidence.n_high_days < 2 THEN evidence.first_diagnosis_at
        WHEN evidence.first_diagnosis_at <= evidence.first_high_at THEN evidence.first_diagnosis_at
        ELSE evidence.first_high_at
    END AS index_at,
    CASE
        WHEN evidence.n_diagnosis_days = 0 THEN 'undiagnosed'
        WHEN evidence.n_diagnosis_days >= 2 OR drugs.patient_id IS NOT NULL OR evidence.n_high_days >= 2
            THEN 'confirmed'
        ELSE 'possible'
    END AS certainty,
    evidence.n_diagnosis_days,
    evidence.first_diagnosis_at,
    evidence.n_high_days,
    evidence.first_high_at,
    evidence.n_measured_days,
    drugs.patient_id IS NOT NULL AS antihypertensive,
    evidence.age_years
FROM evidence
LEFT JOIN drugs ON evidence.patient_id = drugs.patient_id
WHERE evidence.n_diagnosis_days > 0 OR evidence.n_high_days >= 2

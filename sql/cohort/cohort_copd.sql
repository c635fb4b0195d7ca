-- title: Cohort: COPD
-- description: Patients with a diagnosis of chronic obstructive pulmonary disease. Confirmed by two diagnosis days, or
--   by one with a long-acting bronchodilator; possible by one; uncertain below 40 years of age, where it is rare,
--   whatever else stands on record. Spirometry is not looked at.
-- grain: patient_id
-- source: after Gershon, COPD 2009;6:388, and GOLD 2024
-- column index_at: time of the first diagnosis
-- column certainty: confirmed, possible or uncertain
-- column n_diagnosis_days: days with a diagnosis
-- column last_diagnosis_at: time of the latest
-- column n_acute_days: days with a code of an acute exacerbation or infection
-- column asthma: whether asthma is diagnosed as well
-- column long_acting_bronchodilator: whether one was ever ordered
-- column smoking_status: latest statement: current, former or never
-- column age_years: greatest age stated with the diagnosis; 90 stands for 90 and over
WITH diagnoses AS (
    SELECT
        patient_id,
        min(CASE WHEN condition = 'copd' THEN recorded_at END) AS index_at,
        max(CASE WHEN condition = 'copd' THEN recorded_at END) AS last_diagnosis_at,
        count(DISTINCT CASE WHEN condition = 'copd' THEN date_trunc('day', recorded_at) END) AS n_diagnosis_days,
        count(
            DISTINCT CASE
                WHEN
                    condition = 'copd' AND (
                        (code_system IN ('icd10cm', 'icd10') AND code IN ('J440', 'J441'))
                        OR (code_system = 'icd9cm' AND code IN ('49121', '49122'))
                        OR (code_system = 'snomed' AND code = '195951007')
                    )
                    THEN date_trunc('day', recorded_at)
            END
        ) AS n_acute_days,
        max(CASE WHEN condition = 'asthma' THEN 1 ELSE 0 END) AS has_asthma,
        max(CASE WHEN condition = 'copd' THEN age_years END) AS age_years
    FROM patient_condition_groups
    WHERE condition IN ('copd', 'asthma')
    GROUP BY patient_id
),

drugs AS (
    SELECT DISTINCT patient_id
    FROM medication_list
    WHERE (class = 'long-acting beta agonist' OR drug = 'tiotropium') AND state <> 'cancelled'
),

smoking AS (
    SELECT
        patient_id,
        smoking_status,
        row_number() OVER (PARTITION BY patient_id ORDER BY stated_at DESC, smoking_status ASC) AS nth
    FROM smoking_status
)

SELECT
    diagnoses.patient_id,
    diagnoses.index_at,
    CASE
        WHEN diagnoses.age_years < 40 THEN 'uncertain'
        WHEN diagnoses.n_diagnosis_days >= 2 OR drugs.patient_id IS NOT NULL THEN 'confirmed'
        ELSE 'possible'
    END AS certainty,
    diagnoses.n_diagnosis_days,
    diagnoses.last_diagnosis_at,
    diagnoses.n_acute_days,
    diagnoses.has_asthma = 1 AS asthma,
    drugs.patient_id IS NOT NULL AS long_acting_bronchodilator,
    smoking.smoking_status,
    diagnoses.age_years
FROM diagnoses
LEFT JOIN drugs ON diagnoses.patient_id = drugs.patient_id
LEFT JOIN smoking ON diagnoses.patient_id = smoking.patient_id AND smoking.nth = 1
WHERE diagnoses.n_diagnosis_days > 0

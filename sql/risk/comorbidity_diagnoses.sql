-- title: Diagnoses of a comorbidity index
-- description: The ICD-coded diagnoses that an index of a scope counts. The scope patient has the whole record, or with
--   ts what was recorded up to then; the scope visit has each visit's own diagnoses and the patient's others of the 365
--   days before its end (before its admission while it lasts).
-- grain: patient_id, encounter_id, code_system, code, recorded_at
-- parameters: scope, ts
-- source: Quan, Med Care 2005;43:1130
-- column encounter_id: pseudonym of the visit; empty for the scope patient
-- column code: in capitals, without dot; null in the row that stands for the patient or visit itself
-- column age_years: latest known age of the patient, with ts the age stated with the diagnosis, or age at admission, in
--   years; 90 stands for 90 and over

-- A patient or visit without a diagnosis has a row, too, and this row has the age: one look at patients or visits gives
-- both. An index of a time knows no more of a patient than the diagnoses up to then.
WITH diagnoses AS (
    SELECT
        patient_id,
        encounter_id,
        code,
        code_system,
        recorded_at,
        age_years
    FROM patient_conditions
    WHERE code_system IN ('icd10cm', 'icd10', 'icd9cm', 'icd9')
),

visits AS (
    SELECT
        patient_id,
        encounter_id,
        age_years,
        coalesce(discharged_at, admitted_at) AS until_at
    FROM encounters_current
    WHERE encounter_id IS NOT NULL AND scope = 'visit'
)

SELECT
    patient_id,
    '' AS encounter_id,
    code,
    code_system,
    recorded_at,
    CASE WHEN ts IS NOT NULL THEN age_years END AS age_years
FROM diagnoses
WHERE scope = 'patient' AND (ts IS NULL OR recorded_at <= ts::TIMESTAMPTZ)
UNION ALL
SELECT
    patient_id,
    '' AS encounter_id,
    NULL AS code,
    NULL AS code_system,
    NULL AS recorded_at,
    age_years
FROM patients_current
WHERE scope = 'patient' AND ts IS NULL
UNION ALL
SELECT
    visits.patient_id,
    visits.encounter_id,
    diagnoses.code,
    diagnoses.code_system,
    diagnoses.recorded_at,
    NULL AS age_years
FROM visits
INNER JOIN diagnoses
    ON
        visits.patient_id = diagnoses.patient_id
        AND (
            visits.encounter_id = diagnoses.encounter_id
            OR diagnoses.recorded_at BETWEEN visits.until_at - INTERVAL '365' DAY AND visits.until_at
        )
UNION ALL
SELECT
    patient_id,
    encounter_id,
    NULL AS code,
    NULL AS code_system,
    NULL AS recorded_at,
    age_years
FROM visits

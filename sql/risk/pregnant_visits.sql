-- title: Visits of pregnant patients
-- description: Visits with a diagnosis of pregnancy; scores that were not made for pregnancy say so by these.
-- grain: patient_id, encounter_id
-- source: codes.conditions
SELECT DISTINCT
    patient_id,
    encounter_id
FROM patient_condition_groups
WHERE condition IN ('pregnancy', 'gestational_diabetes') AND encounter_id IS NOT NULL

-- title: Conditions of patients
-- description: Each diagnosis with every condition it belongs to, where patient_conditions names only the closest:
--   heart failure in hypertensive kidney disease is heart failure, hypertension and kidney disease.
-- grain: patient_id, encounter_id, code_system, code, kind, condition, recorded_at
-- source: codes.conditions
-- column condition: name such as diabetes_type_2
SELECT
    patient_id,
    encounter_id,
    code_system,
    code,
    kind,
    condition,
    recorded_at,
    onset_at,
    rank,
    present_on_admission,
    status,
    age_years
FROM standing_conditions
WHERE condition IS NOT NULL

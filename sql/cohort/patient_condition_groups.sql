-- title: Conditions of patients
-- description: Each diagnosis with every condition it belongs to, where patient_conditions names only the closest:
--   heart failure in hypertensive kidney disease is heart failure, hypertension and kidney disease.
-- grain: patient_id, encounter_id, code_system, code, kind, condition, recorded_at
-- source: codes.conditions
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column condition: Name such as diabetes_type_2
SELECT
    diagnoses.patient_id,
    diagnoses.encounter_id,
    diagnoses.code_system,
    diagnoses.code,
    diagnoses.kind,
    coalesce(named.condition, diagnoses.condition) AS condition,
    diagnoses.recorded_at,
    diagnoses.onset_at,
    diagnoses.rank,
    diagnoses.present_on_admission,
    diagnoses.status,
    diagnoses.age_years
FROM patient_conditions AS diagnoses
LEFT JOIN condition_codes AS named
    ON diagnoses.code = named.code AND diagnoses.code_system = named.code_system
WHERE coalesce(named.condition, diagnoses.condition) IS NOT NULL

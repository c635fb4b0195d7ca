-- title: Elixhauser groups of each diagnosis
-- description: Each diagnosis in ICD-9-CM, ICD-10 or ICD-10-CM laid to its groups by code prefix; a code may belong to
--   several groups.
-- grain: patient_id, encounter_id, recorded_at, condition
-- source: Quan, Med Care 2005;43:1130, table 2
-- column condition: group, as codes.elixhauser_quan_codes names it
SELECT DISTINCT
    diagnoses.patient_id,
    diagnoses.encounter_id,
    diagnoses.recorded_at,
    groups.condition
FROM patient_conditions AS diagnoses
INNER JOIN comorbidity_codes AS groups
    ON diagnoses.code = groups.code AND diagnoses.code_system = groups.code_system
WHERE groups.scheme = 'elixhauser'

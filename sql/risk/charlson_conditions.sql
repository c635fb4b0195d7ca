-- title: Charlson groups of each diagnosis
-- description: Each diagnosis in ICD-9-CM, ICD-10 or ICD-10-CM laid to its groups by code prefix; a code may belong to
--   several groups.
-- grain: patient_id, encounter_id, recorded_at, condition
-- source: Quan, Med Care 2005;43:1130, table 1
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column condition: Group, as codes.charlson_quan_codes names it
WITH diagnoses AS (
    SELECT
        patient_id,
        encounter_id,
        code,
        code_system,
        recorded_at
    FROM patient_conditions
    WHERE code_system IN ('icd10cm', 'icd10', 'icd9cm', 'icd9')
),

coded AS (
    SELECT DISTINCT
        code,
        code_system,
        CASE
            WHEN code_system IN ('icd10cm', 'icd10') THEN 'icd10'
            WHEN code_system IN ('icd9cm', 'icd9') THEN 'icd9'
        END AS icd_family
    FROM diagnoses
),

-- Prefixes have two to five characters: one equality join for each length, over distinct codes only.
lengths AS (
    SELECT DISTINCT length(prefix) AS characters
    FROM codes.charlson_quan_codes
),

grouped AS (
    SELECT DISTINCT
        coded.code,
        coded.code_system,
        prefixes.condition
    FROM coded
    CROSS JOIN lengths
    INNER JOIN codes.charlson_quan_codes AS prefixes ON coded.icd_family = prefixes.system
    -- Not in the ON: Sail 0.7 drops there what speaks of both sides of the cross join.
    WHERE substr(coded.code, 1, lengths.characters) = prefixes.prefix
)

SELECT DISTINCT
    diagnoses.patient_id,
    diagnoses.encounter_id,
    diagnoses.recorded_at,
    grouped.condition
FROM diagnoses
INNER JOIN grouped
    ON diagnoses.code = grouped.code AND diagnoses.code_system = grouped.code_system

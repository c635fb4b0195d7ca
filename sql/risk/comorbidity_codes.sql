-- title: Comorbidity groups of each diagnosis code
-- description: Each ICD-9-CM, ICD-10 or ICD-10-CM code that occurs among the diagnoses, laid to its Charlson and its
--   Elixhauser groups by code prefix; a code may belong to several groups.
-- grain: scheme, code_system, code, condition
-- source: Quan, Med Care 2005;43:1130, tables 1 and 2
-- column scheme: charlson or elixhauser
-- column condition: group, as codes.charlson_quan_codes or codes.elixhauser_quan_codes names it
WITH prefixes AS (
    SELECT
        'charlson' AS scheme,
        condition,
        system,
        prefix
    FROM codes.charlson_quan_codes
    UNION ALL
    SELECT
        'elixhauser' AS scheme,
        condition,
        system,
        prefix
    FROM codes.elixhauser_quan_codes
),

-- Prefixes have two to five characters: one equality join for each length, over distinct codes only.
lengths AS (
    SELECT DISTINCT length(prefix) AS characters
    FROM prefixes
),

diagnosis_codes AS (
    SELECT DISTINCT
        code,
        code_system,
        CASE WHEN code_system IN ('icd10cm', 'icd10') THEN 'icd10' ELSE 'icd9' END AS icd_family
    FROM patient_conditions
    WHERE code_system IN ('icd10cm', 'icd10', 'icd9cm', 'icd9')
)

SELECT DISTINCT
    prefixes.scheme,
    diagnosis_codes.code,
    diagnosis_codes.code_system,
    prefixes.condition
FROM diagnosis_codes
CROSS JOIN lengths
INNER JOIN prefixes ON diagnosis_codes.icd_family = prefixes.system
-- Not in the ON: Sail 0.7 drops there what speaks of both sides of the cross join.
WHERE substr(diagnosis_codes.code, 1, lengths.characters) = prefixes.prefix

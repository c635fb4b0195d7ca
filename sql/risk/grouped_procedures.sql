-- title: Procedure groups
-- description: Each procedure that belongs to a group that scores ask for (dialysis, ventilation), by code prefix.
--   Procedures whose latest statement deletes them are left out.
-- grain: patient_id, encounter_id, performed_at, procedure_group, code
-- source: codes.procedure_groups
-- column procedure_group: Group, as codes.procedure_groups names it
-- column code: Procedure code without a dot
WITH coded AS (
    SELECT
        patient_id,
        encounter_id,
        performed_at,
        code_system,
        replace(upper(code), '.', '') AS code
    FROM procedures
    WHERE code IS NOT NULL AND coalesce(action, 'A') <> 'D'
)

SELECT DISTINCT
    coded.patient_id,
    coded.encounter_id,
    coded.performed_at,
    prefixes.procedure_group,
    coded.code
FROM coded
INNER JOIN codes.procedure_groups AS prefixes
    ON coded.code_system = prefixes.system AND substr(coded.code, 1, length(prefixes.prefix)) = prefixes.prefix

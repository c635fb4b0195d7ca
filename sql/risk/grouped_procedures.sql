-- title: Procedure groups
-- description: Each procedure that belongs to a group that scores ask for (dialysis, ventilation), by code prefix.
--   Procedures whose latest statement deletes them are left out; merged patients are one.
-- grain: patient_id, encounter_id, performed_at, procedure_group, code
-- source: codes.procedure_groups
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column procedure_group: group, as codes.procedure_groups names it
-- column code: procedure code without a dot
WITH placed AS (
    SELECT
        p.record_id,
        p.ordinal,
        p.encounter_id,
        p.code_system,
        coalesce(p.action, 'A') AS action,
        replace(upper(p.code), '.', '') AS code,
        coalesce(i.patient_id, m.patient_id, p.patient_id) AS patient_id,
        (coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0)) * INTERVAL '1' DAY AS shift,
        p.performed_at,
        p.stated_at
    FROM procedures AS p
    LEFT JOIN encounter_moves AS m ON p.encounter_id = m.encounter_id AND p.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, p.patient_id) = i.old_patient_id
    WHERE p.code IS NOT NULL
),

grouped AS (
    SELECT
        placed.patient_id,
        placed.encounter_id,
        placed.performed_at + placed.shift AS performed_at,
        prefixes.procedure_group,
        placed.code,
        placed.action,
        row_number() OVER (
            PARTITION BY
                placed.patient_id,
                placed.encounter_id,
                placed.performed_at + placed.shift,
                prefixes.procedure_group,
                placed.code_system,
                placed.code
            ORDER BY
                placed.stated_at + placed.shift DESC NULLS LAST,
                placed.record_id DESC NULLS LAST,
                placed.ordinal DESC NULLS LAST
        ) AS nth
    FROM placed
    INNER JOIN codes.procedure_groups AS prefixes
        ON placed.code_system = prefixes.system AND substr(placed.code, 1, length(prefixes.prefix)) = prefixes.prefix
)

SELECT DISTINCT
    patient_id,
    encounter_id,
    performed_at,
    procedure_group,
    code
FROM grouped
WHERE nth = 1 AND action <> 'D'

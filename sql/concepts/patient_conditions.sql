-- title: Diagnoses and problems
-- description: Every diagnosis or problem that stands today, once a visit and kind, with the closest of the conditions
--   that its code belongs to (standing_conditions has them all); merged patients are one. A diagnosis without a visit
--   stands once a day on which it was recorded; a problem (kind problem) is one, however often it is stated.
-- grain: patient_id, encounter_id, code_system, code, kind, recorded_at
-- source: HL7 v2.9 ch. 6.5.2 (DG1), table 0206 (action); codes.conditions
-- column condition: name such as diabetes_type_2, the closest in condition_codes; null when the code belongs to none
SELECT
    record_id,
    ordinal,
    patient_id,
    encounter_id,
    code,
    code_system,
    code_display,
    condition,
    recorded_at,
    onset_at,
    rank,
    present_on_admission,
    kind,
    status,
    age_years
FROM standing_conditions
WHERE nth = 1

-- title: Current results
-- description: The latest statement of each result and vital sign, of every kind: corrections and repeated messages
--   take the place of what they correct; deleted, wrong and cancelled results are gone, and so are statements that a
--   result is still awaited; merged patients are one.
-- grain: record_id, ordinal
-- source: HL7 v2.9 ch. 7.4.2 and table 0085 (OBX-11), table 0123 (OBR-25).
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column code: code of the result as sent
-- column category: section that made it (OBR-24)
-- column unit: unit as sent
-- column status: final, corrected, preliminary, ...; corrected also where only the order says so (OBR-25 C)
-- column observed_at: when it was observed
-- column reported_at: when it was reported
-- column stated_at: when the record that states it was made
-- column age_years: age in years at that time; 90 stands for 90 and over
-- column analyte: name such as creatinine or heart_rate; null when the code is not known
-- column analyte_kind: laboratory or vital; null when the code is not known
-- column analyte_unit: the analyte's own unit; null when the code is not known
-- column plausible_low: least value, in the analyte's own unit, that a living patient can have
-- column plausible_high: highest such value

-- Two joins one upon the other would keep every row until both have been asked. Apart, a query for some analytes leaves
-- the other rows at the first: a name from the second code, asked where the first is not known, is seldom needed.
WITH named AS (
    SELECT
        s.*,
        a.analyte,
        a.kind AS analyte_kind,
        a.unit AS analyte_unit,
        a.plausible_low,
        a.plausible_high
    FROM standing_results AS s
    LEFT JOIN analyte_names AS a ON s.code_key = a.code AND s.code_space = a.code_space
    WHERE a.analyte IS NOT NULL OR s.alt_code IS NULL
    UNION ALL
    SELECT
        s.*,
        b.analyte,
        b.kind AS analyte_kind,
        b.unit AS analyte_unit,
        b.plausible_low,
        b.plausible_high
    FROM standing_results AS s
    LEFT JOIN analyte_names AS a ON s.code_key = a.code AND s.code_space = a.code_space
    LEFT JOIN analyte_names AS b ON s.alt_code_key = b.code AND s.alt_code_space = b.code_space
    WHERE s.alt_code IS NOT NULL AND a.analyte IS NULL
)

SELECT
    record_id,
    ordinal,
    patient_id,
    encounter_id,
    order_id,
    placer_order_id,
    specimen_id,
    panel_code,
    panel_system,
    code,
    code_system,
    code_display,
    alt_code,
    alt_code_system,
    sub_id,
    category,
    value_type,
    value_number,
    comparator,
    value_high,
    value_separator,
    value_code,
    value_code_system,
    value_code_display,
    unit,
    range_low,
    range_high,
    flag,
    status,
    observed_at,
    reported_at,
    stated_at,
    performer_id,
    performer_facility,
    method_code,
    age_years,
    analyte,
    analyte_kind,
    analyte_unit,
    plausible_low,
    plausible_high
FROM named

-- title: Laboratory results
-- description: Every current laboratory result with the name of its analyte and its value in the analyte's own unit.
--   Vital signs are in vital_signs; notes, images and tracings are not results of a laboratory.
-- grain: record_id, ordinal
-- source: codes.analytes (LOINC and common local codes), codes.unit_conversions, codes.result_sections
-- column analyte: name such as creatinine; null when the code is not known
-- column plausible: whether the value lies within bounds that a living patient can have; null without value or bounds
SELECT
    m.record_id,
    m.ordinal,
    m.patient_id,
    m.encounter_id,
    m.order_id,
    m.code,
    m.code_system,
    m.analyte,
    m.value,
    m.unit,
    m.comparator,
    m.value_code,
    m.flag,
    m.status,
    m.range_low,
    m.range_high,
    m.observed_at,
    m.reported_at,
    m.age_years,
    m.source_value,
    m.source_unit,
    m.plausible
FROM measured_values AS m
LEFT JOIN codes.result_sections AS s ON upper(m.category) = s.section
-- A code that is not known is a laboratory result when it comes from a laboratory, or when nothing
-- tells where it comes from and it has a value: notes and reports come the same way.
WHERE
    m.analyte_kind = 'laboratory'
    OR (
        m.analyte_kind IS NULL
        AND (s.kind = 'laboratory' OR (s.kind IS NULL AND (m.source_value IS NOT NULL OR m.value_code IS NOT NULL)))
    )

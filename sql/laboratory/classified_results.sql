-- title: Classified results
-- description: Current laboratory results with what their flag says: low, high, normal, critical. A result without a
--   flag, or with one that is not known, has a row, too.
-- grain: record_id, ordinal
-- source: HL7 v2.9 table 0078 (OBX-8), codes.interpretations
-- column flag_direction: low, high, normal, abnormal or resistant, by the flag; null without a known flag
-- column is_flagged_critical: whether the flag says critical (HH, LL, AA)
SELECT
    labs.record_id,
    labs.ordinal,
    labs.patient_id,
    labs.encounter_id,
    labs.order_id,
    labs.code,
    labs.code_system,
    labs.analyte,
    labs.value,
    labs.unit,
    labs.comparator,
    labs.value_code,
    labs.flag,
    labs.status,
    labs.range_low,
    labs.range_high,
    labs.plausible,
    labs.observed_at,
    labs.reported_at,
    labs.age_years,
    flags.direction AS flag_direction,
    coalesce(flags.is_critical = 'yes', FALSE) AS is_flagged_critical
FROM lab_results AS labs
LEFT JOIN codes.interpretations AS flags ON upper(labs.flag) = flags.flag

-- title: Abnormal results
-- description: Current laboratory results that the laboratory flagged as abnormal or, where it sent no flag, that lie
--   outside their reference range.
-- grain: record_id, ordinal
-- source: HL7 v2.9 table 0078 (OBX-8), codes.interpretations
-- column direction: low, high, abnormal or resistant
-- column basis: flag, or range where no flag was sent
-- column is_critical: whether the flag says critical (HH, LL, AA)
-- column times_limit: value divided by the limit of the range that it passed; null without a range
WITH results AS (
    SELECT
        *,
        CASE WHEN flag IS NULL THEN 'range' ELSE 'flag' END AS basis,
        CASE
            WHEN flag IS NOT NULL THEN flag_direction
            WHEN value < range_low OR (value <= range_low AND comparator = '<') THEN 'low'
            WHEN value > range_high OR (value >= range_high AND comparator = '>') THEN 'high'
        END AS direction
    FROM classified_results
)

SELECT
    record_id,
    ordinal,
    patient_id,
    encounter_id,
    order_id,
    code,
    code_system,
    analyte,
    value,
    unit,
    comparator,
    value_code,
    flag,
    direction,
    basis,
    is_flagged_critical AS is_critical,
    CASE
        WHEN direction = 'low' AND value < range_low THEN value / nullif(range_low, 0)
        WHEN direction = 'high' AND value > range_high THEN value / nullif(range_high, 0)
    END AS times_limit,
    range_low,
    range_high,
    status,
    observed_at,
    reported_at,
    age_years
FROM results
WHERE direction <> 'normal'

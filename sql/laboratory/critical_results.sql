-- title: Critical results
-- description: Current laboratory results beyond a critical limit, whatever unit they were sent in, and those that the
--   laboratory itself flagged as critical (HH, LL, AA).
-- grain: record_id, ordinal
-- source: codes.critical_limits, HL7 v2.9 table 0078
-- column analyte: name of the analyte, such as potassium
-- column limit_low: critical limit in `unit`; a value below it is critical
-- column limit_high: critical limit in `unit`; a value above it is critical
-- column direction: low or high, where the limit or the flag says so
-- column basis: limit, flag, or limit and flag
-- column priority: CRITICAL or HIGH: what the limit says, else CRITICAL for a flag
WITH limits AS (
    SELECT
        cl.analyte,
        cl.low * uf.factor + uf.shift AS limit_low,
        cl.high * uf.factor + uf.shift AS limit_high,
        cl.low_priority,
        cl.high_priority
    FROM codes.critical_limits AS cl
    INNER JOIN unit_factors AS uf ON cl.analyte = uf.analyte AND lower(cl.unit) = uf.spelling
),

compared_results AS (
    SELECT
        results.*,
        limits.limit_low,
        limits.limit_high,
        -- A value that no living patient can have is a mistake to be looked into, not an alert.
        CASE
            WHEN results.plausible AND results.value < limits.limit_low THEN limits.low_priority
            WHEN results.plausible AND results.value > limits.limit_high THEN limits.high_priority
        END AS limit_priority
    FROM classified_results AS results
    LEFT JOIN limits ON results.analyte = limits.analyte
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
    flag,
    limit_low,
    limit_high,
    CASE
        WHEN limit_priority IS NULL AND flag_direction IN ('low', 'high') THEN flag_direction
        WHEN limit_priority IS NULL THEN NULL
        WHEN value < limit_low THEN 'low'
        ELSE 'high'
    END AS direction,
    CASE
        WHEN limit_priority IS NULL THEN 'flag'
        WHEN is_flagged_critical THEN 'limit and flag'
        ELSE 'limit'
    END AS basis,
    coalesce(limit_priority, 'CRITICAL') AS priority,
    status,
    observed_at,
    reported_at,
    age_years
FROM compared_results
WHERE limit_priority IS NOT NULL OR is_flagged_critical

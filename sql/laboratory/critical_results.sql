-- title: Critical results
-- description: Current laboratory results beyond a critical limit, whatever unit they were sent in, and those that the
--   laboratory itself flagged as critical (HH, LL, AA).
-- grain: record_id, ordinal
-- source: codes.critical_limits, HL7 v2.9 table 0078
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column code: code of the result
-- column analyte: name of the analyte, such as potassium
-- column limit_low: critical limit in `unit`; a value below it is critical
-- column limit_high: critical limit in `unit`; a value above it is critical
-- column direction: low or high, where the limit or the flag says so
-- column basis: limit, flag, or limit and flag
-- column priority: CRITICAL or HIGH: what the limit says, else CRITICAL for a flag
-- column observed_at: when it was observed
-- column reported_at: when it was reported
-- column age_years: age in years at that time; 90 stands for 90 and over
WITH limits AS (
    SELECT
        l.analyte,
        l.low * f.factor + f.shift AS limit_low,
        l.high * f.factor + f.shift AS limit_high,
        l.low_priority,
        l.high_priority
    FROM codes.critical_limits AS l
    INNER JOIN unit_factors AS f ON l.analyte = f.analyte AND lower(l.unit) = f.spelling
),

compared AS (
    SELECT
        r.record_id,
        r.ordinal,
        r.patient_id,
        r.encounter_id,
        r.order_id,
        r.code,
        r.code_system,
        r.analyte,
        r.value,
        r.unit,
        r.comparator,
        r.flag,
        r.status,
        r.observed_at,
        r.reported_at,
        r.age_years,
        l.limit_low,
        l.limit_high,
        i.direction AS flag_direction,
        coalesce(i.is_critical = 'yes', FALSE) AS is_flagged,
        -- A value that no living patient can have is a mistake to be looked into, not an alert.
        CASE
            WHEN r.plausible AND r.value < l.limit_low THEN l.low_priority
            WHEN r.plausible AND r.value > l.limit_high THEN l.high_priority
        END AS limit_priority
    FROM lab_results AS r
    LEFT JOIN limits AS l ON r.analyte = l.analyte
    LEFT JOIN codes.interpretations AS i ON upper(r.flag) = i.flag
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
        WHEN is_flagged THEN 'limit and flag'
        ELSE 'limit'
    END AS basis,
    coalesce(limit_priority, 'CRITICAL') AS priority,
    status,
    observed_at,
    reported_at,
    age_years
FROM compared
WHERE limit_priority IS NOT NULL OR is_flagged

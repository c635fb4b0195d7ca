-- title: Abnormal results
-- description: Current laboratory results that the laboratory flagged as abnormal or, where it sent no flag, that lie
--   outside their reference range.
-- grain: record_id, ordinal
-- source: HL7 v2.9 table 0078 (OBX-8), codes.interpretations
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column code: code of the result
-- column direction: low, high, abnormal or resistant
-- column basis: flag, or range where no flag was sent
-- column is_critical: whether the flag says critical (HH, LL, AA)
-- column times_limit: value divided by the limit of the range that it passed; null without a range
-- column observed_at: when it was observed
-- column reported_at: when it was reported
-- column age_years: age in years at that time; 90 stands for 90 and over
WITH judged AS (
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
        r.value_code,
        r.flag,
        r.status,
        r.range_low,
        r.range_high,
        r.observed_at,
        r.reported_at,
        r.age_years,
        i.is_critical,
        CASE WHEN r.flag IS NULL THEN 'range' ELSE 'flag' END AS basis,
        CASE
            WHEN r.flag IS NOT NULL THEN i.direction
            WHEN r.value < r.range_low OR (r.value <= r.range_low AND r.comparator = '<') THEN 'low'
            WHEN r.value > r.range_high OR (r.value >= r.range_high AND r.comparator = '>') THEN 'high'
        END AS direction
    FROM lab_results AS r
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
    value_code,
    flag,
    direction,
    basis,
    coalesce(is_critical = 'yes', FALSE) AS is_critical,
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
FROM judged
WHERE direction <> 'normal'

-- title: Laboratory results
-- description: Every current laboratory result with the name of its analyte and its value in the analyte's own unit.
--   Vital signs are in vital_signs; notes, images and tracings are not results of a laboratory.
-- grain: record_id, ordinal
-- source: codes.analytes (LOINC and common local codes), codes.unit_conversions, codes.result_sections
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column code: code of the result as sent
-- column analyte: name such as creatinine; null when the code is not known
-- column value: number in `unit`; null when the unit as sent cannot be converted to it
-- column unit: the analyte's own unit; the unit as sent where the analyte is not known
-- column observed_at: when it was observed
-- column reported_at: when it was reported
-- column age_years: age in years at that time; 90 stands for 90 and over
-- column source_value: number as sent
-- column source_unit: unit as sent
-- column range_low: lower end of the reference range, in `unit`
-- column range_high: upper end of the reference range, in `unit`
-- column plausible: whether the value lies within bounds that a living patient can have; null without value or bounds
WITH named AS (
    SELECT
        *,
        coalesce(nullif(lower(replace(unit, ' ', '')), ''), 'none') AS spelling
    FROM results_current
),

converted AS (
    SELECT
        n.*,
        CASE WHEN n.analyte IS NULL THEN 1.0 ELSE f.factor END AS factor,
        CASE WHEN n.analyte IS NULL THEN 0.0 ELSE f.shift END AS shift
    FROM named AS n
    LEFT JOIN unit_factors AS f ON n.analyte = f.analyte AND n.spelling = f.spelling
    LEFT JOIN codes.result_sections AS s ON upper(n.category) = s.section
    -- A code that is not known is a laboratory result when it comes from a laboratory, or when nothing
    -- tells where it comes from and it has a value: notes and reports come the same way.
    WHERE
        n.analyte_kind = 'laboratory'
        OR (
            n.analyte_kind IS NULL
            AND (s.kind = 'laboratory' OR (s.kind IS NULL AND (n.value_number IS NOT NULL OR n.value_code IS NOT NULL)))
        )
),

measured AS (
    SELECT
        *,
        value_number * factor + shift AS value
    FROM converted
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
    coalesce(analyte_unit, unit) AS unit,
    comparator,
    value_code,
    flag,
    status,
    range_low * factor + shift AS range_low,
    range_high * factor + shift AS range_high,
    observed_at,
    reported_at,
    age_years,
    value_number AS source_value,
    unit AS source_unit,
    value BETWEEN coalesce(plausible_low, value) AND coalesce(plausible_high, value) AS plausible
FROM measured

-- title: Measured values
-- description: Every current result and vital sign with its value in the unit of its analyte, one row each. lab_results
--   are those of a laboratory, vital_signs those of the bedside, side by side; a score that needs both reads them here
--   at once.
-- grain: record_id, ordinal
-- source: codes.analytes (LOINC and common local codes), codes.unit_conversions, codes.vital_answers
-- column analyte: name such as creatinine or heart_rate; null when the code is not known
-- column value: number in `unit`; null when the unit as sent cannot be converted to it
-- column second_value: the second number of two, in `unit`: the diastolic of a blood pressure
-- column unit: the analyte's own unit; the unit as sent where the analyte is not known
-- column answer: what a coded answer to a question of the bedside means, such as yes or A
-- column plausible: whether the value lies within bounds that a living patient can have; null without a value, true
--   where no bounds are known
-- column second_plausible: whether the second value does
-- column range_low: lower end of the reference range, in `unit`
-- column range_high: upper end of the reference range, in `unit`
-- column source_value: number as sent
-- column source_unit: unit as sent

-- A site's own file may list an answer a second time; one row an answer, or results would double.
WITH answers AS (
    SELECT
        vital,
        code,
        max(answer) AS answer
    FROM codes.vital_answers
    GROUP BY vital, code
),

named AS (
    SELECT
        *,
        coalesce(nullif(lower(replace(unit, ' ', '')), ''), 'none') AS spelling
    FROM results_current
),

converted AS (
    SELECT
        n.*,
        a.answer,
        CASE WHEN n.analyte IS NULL THEN 1.0 ELSE f.factor END AS factor,
        CASE WHEN n.analyte IS NULL THEN 0.0 ELSE f.shift END AS shift,
        f.second_low,
        f.second_high
    FROM named AS n
    LEFT JOIN unit_factors AS f ON n.analyte = f.analyte AND n.spelling = f.spelling
    LEFT JOIN answers AS a ON n.analyte = a.vital AND upper(n.value_code) = a.code
),

measurements AS (
    SELECT
        *,
        value_number * factor + shift AS value,
        value_high * factor + shift AS second_value
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
    category,
    analyte,
    analyte_kind,
    value,
    second_value,
    coalesce(analyte_unit, unit) AS unit,
    comparator,
    value_code,
    answer,
    flag,
    status,
    range_low * factor + shift AS range_low,
    range_high * factor + shift AS range_high,
    observed_at,
    reported_at,
    age_years,
    value_number AS source_value,
    unit AS source_unit,
    value BETWEEN coalesce(plausible_low, value) AND coalesce(plausible_high, value) AS plausible,
    second_value BETWEEN coalesce(second_low, second_value) AND coalesce(second_high, second_value) AS second_plausible
FROM measurements

-- title: Unit conversions
-- description: For each analyte and each spelling of a unit, how a value becomes one in the analyte's own unit:
--   value * factor + shift. Of a result of two numbers (a blood pressure of 120/80), also the bounds of the second.
-- grain: analyte, spelling
-- source: codes.unit_conversions, codes.unit_spellings and codes.analyte_units; molar masses from IUPAC atomic weights.
-- column analyte: name of the analyte or vital sign
-- column spelling: unit as sent, in lower case and without blanks; `none` where no unit was sent
-- column factor: what a value is multiplied with
-- column shift: what is added after the multiplication
-- column second_low: second numbers below are taken for mistakes
-- column second_high: second numbers above are taken for mistakes
WITH spelled AS (
    SELECT
        spelling,
        unit
    FROM codes.unit_spellings
    UNION
    -- a unit is always a spelling of itself
    SELECT
        lower(unit) AS spelling,
        unit
    FROM codes.unit_conversions
),

own_units AS (
    SELECT
        analyte,
        unit,
        factor,
        "offset" AS shift
    FROM codes.unit_conversions
    UNION
    SELECT
        analyte,
        unit,
        1.0 AS factor,
        0.0 AS shift
    FROM codes.analyte_units
)

SELECT
    o.analyte,
    coalesce(s.spelling, lower(o.unit)) AS spelling,
    min(o.factor) AS factor,
    min(o.shift) AS shift,
    min(a.second_low) AS second_low,
    max(a.second_high) AS second_high
FROM own_units AS o
LEFT JOIN spelled AS s ON o.unit = s.unit
LEFT JOIN codes.analyte_units AS a ON o.analyte = a.analyte
GROUP BY o.analyte, coalesce(s.spelling, lower(o.unit))

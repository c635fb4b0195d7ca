-- title: Codes of analytes and vital signs
-- description: Each code that names an analyte or a vital sign, by the kind of code system under which it may be met.
-- grain: code_space, code
-- source: codes.analytes and codes.analyte_units
-- column code_space: a public code system, or `open` for local codes and codes without a system; LOINC codes are in
--   both, since their shape (digits, hyphen, check digit) cannot be taken for a local code
-- column code: code, in capitals
-- column analyte: name of the analyte or vital sign, such as creatinine
-- column kind: laboratory or vital
-- column unit: unit in which values of the analyte are given
-- column plausible_low: values below are taken for mistakes
-- column plausible_high: values above are taken for mistakes
WITH spaces AS (
    SELECT
        'open' AS code_space,
        upper(code) AS code,
        analyte
    FROM codes.analytes
    WHERE code_system IN ('loinc', 'local')
    UNION ALL
    SELECT
        code_system AS code_space,
        upper(code) AS code,
        analyte
    FROM codes.analytes
    WHERE code_system <> 'local'
),

-- A site's own file may name a code a second time; one row a code, or results would double.
named AS (
    SELECT
        code_space,
        code,
        min(analyte) AS analyte
    FROM spaces
    GROUP BY code_space, code
)

SELECT
    n.code_space,
    n.code,
    n.analyte,
    coalesce(u.kind, 'laboratory') AS kind,
    u.unit,
    u.plausible_low,
    u.plausible_high
FROM named AS n
LEFT JOIN codes.analyte_units AS u ON n.analyte = u.analyte

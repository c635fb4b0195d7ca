-- title: Conditions by diagnosis code
-- description: Each diagnosis code that occurs in the data with every condition it belongs to: ICD codes by prefix,
--   SNOMED CT codes by the whole code.
-- grain: code_system, code, condition
-- source: codes.conditions
-- column code: in capitals, without dot
-- column condition: name such as diabetes_type_2
-- column nth: 1 is the closest condition, by the longest prefix
WITH met AS (
    SELECT DISTINCT
        code_system,
        upper(replace(code, '.', '')) AS code
    FROM conditions
    WHERE code IS NOT NULL AND code_system IS NOT NULL
)

SELECT
    m.code_system,
    m.code,
    c.condition,
    row_number() OVER (
        PARTITION BY m.code_system, m.code ORDER BY max(length(c.prefix)) DESC, c.condition ASC
    ) AS nth
FROM met AS m
INNER JOIN codes.conditions AS c
    ON
        CASE WHEN m.code_system = 'icd10' THEN 'icd10cm' ELSE m.code_system END = c.code_system
        AND (m.code = c.prefix OR (m.code_system <> 'snomed' AND m.code LIKE c.prefix || '%'))
GROUP BY m.code_system, m.code, c.condition

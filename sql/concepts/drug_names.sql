-- title: Drugs by medication code
-- description: Each medication code that occurs in the data with the ingredient it stands for: by RxNorm code where it
--   is listed, else by the ingredient's name in the code or its text (the longest name that fits).
-- grain: code_system, code, code_display
-- source: codes.drug_codes, codes.medication_classes
-- column drug: ingredient such as metformin
-- column class: class of the drug, such as statin
-- column family: wider group, such as antihypertensive
-- column atc: ATC code of the ingredient
WITH met AS (
    SELECT DISTINCT
        code_system,
        code,
        code_display
    FROM medications
    WHERE code IS NOT NULL OR code_display IS NOT NULL
),

-- Letters only, with one blank around each word, so that a name is found as a whole word.
worded AS (
    SELECT
        code_system,
        code,
        code_display,
        regexp_replace(lower(concat(' ', code_display, ' ', code, ' ')), '[^a-z]+', ' ', 'g') AS words
    FROM met
),

candidates AS (
    SELECT
        w.code_system,
        w.code,
        w.code_display,
        c.drug,
        1 AS preference,
        0 AS word_length
    FROM worded AS w
    INNER JOIN codes.drug_codes AS c ON w.code_system = c.code_system AND w.code = c.code
    UNION ALL
    SELECT
        w.code_system,
        w.code,
        w.code_display,
        m.drug,
        2 AS preference,
        length(m.drug) AS word_length
    FROM worded AS w
    INNER JOIN codes.medication_classes AS m ON w.words LIKE '% ' || m.drug || ' %'
),

best AS (
    SELECT *
    FROM candidates
    QUALIFY row_number() OVER (
        PARTITION BY code_system, code, code_display ORDER BY preference ASC, word_length DESC, drug ASC
    ) = 1
)

SELECT
    b.code_system,
    b.code,
    b.code_display,
    b.drug,
    m.class,
    m.family,
    m.atc
FROM best AS b
LEFT JOIN codes.medication_classes AS m ON b.drug = m.drug

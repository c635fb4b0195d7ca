-- title: FIB-4
-- description: Fibrosis-4 index at each time at which one of its laboratory inputs was observed; null unless all are
--   known. Inputs look back 90 days. Age 90 stands for 90 and over, so that from 90 the index is a lower bound.
-- grain: patient_id, measured_at
-- source: Sterling, Hepatology 2006;43:1317
-- column measured_at: when one of the inputs was observed
-- column oldest_input_at: time of the oldest input used
-- column n_missing: inputs without a value, of four: AST, ALT, platelets, age
-- column fib4: (age x AST) / (platelets x square root of ALT)
-- column variant: definition and look-back
-- column band: low below 1.45, indeterminate, high above 3.25
WITH inputs AS (
    SELECT
        patient_id,
        measured_at,
        age_years,
        ast,
        alt,
        platelets,
        least(
            coalesce(ast_at, measured_at), coalesce(alt_at, measured_at), coalesce(platelets_at, measured_at)
        ) AS oldest_input_at
    FROM recent_labs
    WHERE formula = 'fib4' AND measured_at IN (ast_at, alt_at, platelets_at)
),

scores AS (
    SELECT
        *,
        CASE WHEN platelets > 0 AND alt > 0 THEN (age_years * ast) / (platelets * sqrt(alt)) END AS fib4,
        (ast IS NULL)::INT + (alt IS NULL)::INT + (platelets IS NULL)::INT + (age_years IS NULL)::INT AS n_missing
    FROM inputs
)

SELECT
    patient_id,
    measured_at,
    oldest_input_at,
    age_years,
    ast,
    alt,
    platelets,
    n_missing,
    fib4,
    'Sterling 2006; look-back 90 days' AS variant,
    CASE
        WHEN fib4 < 1.45 THEN 'low'
        WHEN fib4 <= 3.25 THEN 'indeterminate'
        WHEN fib4 > 3.25 THEN 'high'
    END AS band
FROM scores

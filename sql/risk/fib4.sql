-- title: FIB-4
-- description: Fibrosis-4 index at each time at which one of its laboratory inputs was observed. Inputs look back 90
--   days. Null unless all are known. Age 90 stands for 90 and over, so that from 90 the index is a lower bound.
-- grain: patient_id, measured_at
-- source: Sterling, Hepatology 2006;43:1317
-- column patient_id: Pseudonym of the patient
-- column measured_at: When one of the inputs was observed
-- column oldest_input_at: Time of the oldest input used
-- column age_years: Age in years at measured_at; 90 stands for 90 and over
-- column ast: Aspartate aminotransferase, U/L
-- column alt: Alanine aminotransferase, U/L
-- column platelets: Platelets, 10^9/L
-- column n_missing: Inputs without a value, of four: AST, ALT, platelets, age
-- column fib4: (age x AST) / (platelets x square root of ALT)
-- column variant: Definition and look-back
-- column band: low below 1.45, indeterminate, high above 3.25
WITH observed AS (
    SELECT
        *,
        measured_at - INTERVAL '90' DAY AS since
    FROM latest_labs
    WHERE measured_at IN (ast_at, alt_at, platelets_at)
),

inputs AS (
    SELECT
        patient_id,
        measured_at,
        age_years,
        CASE WHEN ast_at >= since THEN ast END AS ast,
        CASE WHEN alt_at >= since THEN alt END AS alt,
        CASE WHEN platelets_at >= since THEN platelets END AS platelets,
        least(
            CASE WHEN ast_at >= since THEN ast_at ELSE measured_at END,
            CASE WHEN alt_at >= since THEN alt_at ELSE measured_at END,
            CASE WHEN platelets_at >= since THEN platelets_at ELSE measured_at END
        ) AS oldest_input_at
    FROM observed
),

scored AS (
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
FROM scored

-- title: APRI
-- description: AST to platelet ratio index at each time at which one of its inputs was observed. Inputs look back 90
--   days. The upper limit of normal of AST is 40 U/L. Null unless both inputs are known.
-- grain: patient_id, measured_at
-- source: Wai, Hepatology 2003;38:518
-- column patient_id: Pseudonym of the patient
-- column measured_at: When one of the inputs was observed
-- column oldest_input_at: Time of the oldest input used
-- column ast: Aspartate aminotransferase, U/L
-- column platelets: Platelets, 10^9/L
-- column n_missing: Inputs without a value, of two
-- column apri: (AST / 40) / platelets x 100
-- column variant: Definition and look-back
-- column band: low up to 0.5, indeterminate, high above 1.5
WITH observed AS (
    SELECT
        *,
        measured_at - INTERVAL '90' DAY AS since
    FROM latest_labs
    WHERE measured_at IN (ast_at, platelets_at)
),

inputs AS (
    SELECT
        patient_id,
        measured_at,
        CASE WHEN ast_at >= since THEN ast END AS ast,
        CASE WHEN platelets_at >= since THEN platelets END AS platelets,
        least(
            CASE WHEN ast_at >= since THEN ast_at ELSE measured_at END,
            CASE WHEN platelets_at >= since THEN platelets_at ELSE measured_at END
        ) AS oldest_input_at
    FROM observed
),

scored AS (
    SELECT
        *,
        CASE WHEN platelets > 0 THEN ast / 40.0 / platelets * 100.0 END AS apri,
        (ast IS NULL)::INT + (platelets IS NULL)::INT AS n_missing
    FROM inputs
)

SELECT
    patient_id,
    measured_at,
    oldest_input_at,
    ast,
    platelets,
    n_missing,
    apri,
    'Wai 2003, upper limit 40 U/L; look-back 90 days' AS variant,
    CASE
        WHEN apri <= 0.5 THEN 'low'
        WHEN apri <= 1.5 THEN 'indeterminate'
        WHEN apri > 1.5 THEN 'high'
    END AS band
FROM scored

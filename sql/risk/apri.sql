-- title: APRI
-- description: AST to platelet ratio index at each time at which one of its inputs was observed, with 40 U/L as the
--   upper limit of normal of AST. Inputs look back 90 days. Null unless both inputs are known.
-- grain: patient_id, measured_at
-- source: Wai, Hepatology 2003;38:518
-- column measured_at: when one of the inputs was observed
-- column oldest_input_at: time of the oldest input used
-- column n_missing: inputs without a value, of two
-- column apri: (AST / 40) / platelets x 100
-- column variant: definition and look-back
-- column band: low up to 0.5, indeterminate, high above 1.5
WITH inputs AS (
    SELECT
        patient_id,
        measured_at,
        ast,
        platelets,
        least(coalesce(ast_at, measured_at), coalesce(platelets_at, measured_at)) AS oldest_input_at
    FROM recent_labs
    WHERE formula = 'apri' AND measured_at IN (ast_at, platelets_at)
),

scores AS (
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
FROM scores

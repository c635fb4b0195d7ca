-- title: Recent results for a formula
-- description: latest_labs as a formula reads them: at each time a result was observed, the latest value of each
--   analyte that is not older than the look-back of the formula in codes.look_backs, else null.
-- grain: formula, patient_id, measured_at
-- source: codes.look_backs
-- column formula: name of the formula, as the view that computes it
-- column sodium: sodium, mmol/L
-- column chloride: chloride, mmol/L
-- column bicarbonate: bicarbonate, mmol/L
-- column calcium: total calcium, mg/dL
-- column albumin: albumin, g/dL
-- column ast: aspartate aminotransferase, U/L
-- column alt: alanine aminotransferase, U/L
-- column platelets: platelets, 10^9/L
-- column cholesterol_total: total cholesterol, mg/dL
-- column hdl: HDL cholesterol, mg/dL
-- column triglycerides: triglycerides, mg/dL
WITH results AS (
    SELECT
        labs.*,
        formulas.formula,
        labs.measured_at - formulas.look_back_hours::INT * INTERVAL '1' HOUR AS since
    FROM latest_labs AS labs
    CROSS JOIN codes.look_backs AS formulas
)

SELECT
    formula,
    patient_id,
    measured_at,
    age_years,
    CASE WHEN sodium_at >= since THEN sodium END AS sodium,
    CASE WHEN sodium_at >= since THEN sodium_at END AS sodium_at,
    CASE WHEN chloride_at >= since THEN chloride END AS chloride,
    CASE WHEN chloride_at >= since THEN chloride_at END AS chloride_at,
    CASE WHEN bicarbonate_at >= since THEN bicarbonate END AS bicarbonate,
    CASE WHEN bicarbonate_at >= since THEN bicarbonate_at END AS bicarbonate_at,
    CASE WHEN calcium_at >= since THEN calcium END AS calcium,
    CASE WHEN calcium_at >= since THEN calcium_at END AS calcium_at,
    CASE WHEN albumin_at >= since THEN albumin END AS albumin,
    CASE WHEN albumin_at >= since THEN albumin_at END AS albumin_at,
    CASE WHEN ast_at >= since THEN ast END AS ast,
    CASE WHEN ast_at >= since THEN ast_at END AS ast_at,
    CASE WHEN alt_at >= since THEN alt END AS alt,
    CASE WHEN alt_at >= since THEN alt_at END AS alt_at,
    CASE WHEN platelets_at >= since THEN platelets END AS platelets,
    CASE WHEN platelets_at >= since THEN platelets_at END AS platelets_at,
    CASE WHEN cholesterol_total_at >= since THEN cholesterol_total END AS cholesterol_total,
    CASE WHEN cholesterol_total_at >= since THEN cholesterol_total_at END AS cholesterol_total_at,
    CASE WHEN hdl_at >= since THEN hdl END AS hdl,
    CASE WHEN hdl_at >= since THEN hdl_at END AS hdl_at,
    CASE WHEN triglycerides_at >= since THEN triglycerides END AS triglycerides,
    CASE WHEN triglycerides_at >= since THEN triglycerides_at END AS triglycerides_at
FROM results

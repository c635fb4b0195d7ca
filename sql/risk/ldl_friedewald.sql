-- title: LDL cholesterol, Friedewald
-- description: LDL cholesterol computed at each time at which one of its inputs was observed. Inputs look back 24
--   hours. Null unless all are known, and from 400 mg/dL of triglycerides, where the formula does not hold.
-- grain: patient_id, measured_at
-- source: Friedewald, Clin Chem 1972;18:499
-- column patient_id: Pseudonym of the patient
-- column measured_at: When one of the inputs was observed
-- column oldest_input_at: Time of the oldest input used
-- column cholesterol_total: Total cholesterol, mg/dL
-- column hdl: HDL cholesterol, mg/dL
-- column triglycerides: Triglycerides, mg/dL
-- column variant: Formula and look-back
-- column ldl: total - HDL - triglycerides / 5, mg/dL
-- column non_hdl: total - HDL, mg/dL
-- column n_missing: Inputs without a value, of three
WITH observed AS (
    SELECT
        *,
        measured_at - INTERVAL '24' HOUR AS since
    FROM latest_labs
    WHERE measured_at IN (cholesterol_total_at, hdl_at, triglycerides_at)
),

inputs AS (
    SELECT
        patient_id,
        measured_at,
        CASE WHEN cholesterol_total_at >= since THEN cholesterol_total END AS cholesterol_total,
        CASE WHEN hdl_at >= since THEN hdl END AS hdl,
        CASE WHEN triglycerides_at >= since THEN triglycerides END AS triglycerides,
        least(
            CASE WHEN cholesterol_total_at >= since THEN cholesterol_total_at ELSE measured_at END,
            CASE WHEN hdl_at >= since THEN hdl_at ELSE measured_at END,
            CASE WHEN triglycerides_at >= since THEN triglycerides_at ELSE measured_at END
        ) AS oldest_input_at
    FROM observed
)

SELECT
    patient_id,
    measured_at,
    oldest_input_at,
    cholesterol_total,
    hdl,
    triglycerides,
    'Friedewald 1972; look-back 24 hours' AS variant,
    CASE WHEN triglycerides < 400 THEN cholesterol_total - hdl - triglycerides / 5.0 END AS ldl,
    cholesterol_total - hdl AS non_hdl,
    (cholesterol_total IS NULL)::INT + (hdl IS NULL)::INT + (triglycerides IS NULL)::INT AS n_missing
FROM inputs

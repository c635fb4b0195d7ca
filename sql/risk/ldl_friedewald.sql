-- title: LDL cholesterol, Friedewald
-- description: LDL cholesterol computed at each time at which one of its inputs was observed. Inputs look back 24
--   hours. Null unless all are known, and from 400 mg/dL of triglycerides, where the formula does not hold.
-- grain: patient_id, measured_at
-- source: Friedewald, Clin Chem 1972;18:499
-- column measured_at: when one of the inputs was observed
-- column oldest_input_at: time of the oldest input used
-- column variant: formula and look-back
-- column ldl: total - HDL - triglycerides / 5, mg/dL
-- column non_hdl: total - HDL, mg/dL
-- column n_missing: inputs without a value, of three
WITH inputs AS (
    SELECT
        patient_id,
        measured_at,
        cholesterol_total,
        hdl,
        triglycerides,
        least(
            coalesce(cholesterol_total_at, measured_at),
            coalesce(hdl_at, measured_at),
            coalesce(triglycerides_at, measured_at)
        ) AS oldest_input_at
    FROM recent_labs
    WHERE formula = 'ldl_friedewald' AND measured_at IN (cholesterol_total_at, hdl_at, triglycerides_at)
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

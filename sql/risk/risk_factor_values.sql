-- title: Values of cardiovascular risk factors
-- description: Blood pressure, cholesterol, HDL, weight and height as measured_values has them, one row each, without
--   those that no living patient can have, and without a laboratory's that is only known to lie below or above another.
-- grain: patient_id, encounter_id, analyte, observed_at
-- source: measured_values
-- column analyte: systolic_bp, blood_pressure, cholesterol_total, hdl, weight_kg or height_cm
-- column value: number in the analyte's own unit; of a blood pressure the systolic
SELECT
    patient_id,
    encounter_id,
    analyte,
    value,
    observed_at,
    age_years
FROM measured_values
WHERE
    analyte IN ('systolic_bp', 'blood_pressure', 'cholesterol_total', 'hdl', 'weight_kg', 'height_cm')
    AND value IS NOT NULL
    AND coalesce(plausible, TRUE)
    AND (comparator IS NULL OR analyte NOT IN ('cholesterol_total', 'hdl'))

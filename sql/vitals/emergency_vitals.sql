-- title: Pressure and pulse
-- description: Systolic pressure and heart rate side by side, as in vital_signs: what the rules of the emergency
--   department ask for, without the other vital signs.
-- grain: patient_id, encounter_id, measured_at
-- source: measured_values
-- column measured_at: when they were measured
-- column systolic_bp: mmHg; the highest of several at one time
-- column heart_rate: per minute; the highest of several at one time
SELECT
    patient_id,
    encounter_id,
    observed_at AS measured_at,
    max(CASE WHEN analyte IN ('systolic_bp', 'blood_pressure') THEN value END) AS systolic_bp,
    max(CASE WHEN analyte = 'heart_rate' THEN value END) AS heart_rate,
    max(age_years) AS age_years
FROM measured_values
WHERE analyte IN ('systolic_bp', 'blood_pressure', 'heart_rate') AND value IS NOT NULL AND coalesce(plausible, TRUE)
GROUP BY patient_id, encounter_id, observed_at

-- title: Mean arterial pressure
-- description: At each blood pressure: the mean as measured, else computed from systolic and diastolic of the same
--   time. Null unless one of the two is known.
-- grain: patient_id, encounter_id, measured_at
-- source: diastolic + (systolic - diastolic) / 3
-- column variant: measured or computed
-- column mean_pressure: Mean arterial pressure, mmHg
-- column n_missing: Inputs without a value, of two: systolic, diastolic; 0 where the mean is measured
SELECT
    patient_id,
    encounter_id,
    measured_at,
    systolic_bp,
    diastolic_bp,
    mean_bp,
    CASE
        WHEN mean_bp IS NOT NULL THEN 'measured'
        WHEN systolic_bp IS NOT NULL AND diastolic_bp IS NOT NULL THEN 'computed'
    END AS variant,
    coalesce(mean_bp, diastolic_bp + (systolic_bp - diastolic_bp) / 3.0) AS mean_pressure,
    CASE
        WHEN mean_bp IS NOT NULL THEN 0
        ELSE (systolic_bp IS NULL)::INT + (diastolic_bp IS NULL)::INT
    END AS n_missing
FROM vital_signs
WHERE systolic_bp IS NOT NULL OR diastolic_bp IS NOT NULL OR mean_bp IS NOT NULL

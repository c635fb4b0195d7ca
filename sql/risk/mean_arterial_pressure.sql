-- title: Mean arterial pressure
-- description: At each blood pressure: the mean as measured, else the one of systolic and diastolic of the same time.
--   Null unless one of the two is known.
-- grain: patient_id, encounter_id, measured_at
-- source: the usual approximation at a resting heart rate
-- column measured_at: when one of the inputs was measured
-- column mean_pressure: mean arterial pressure, mmHg
-- column variant: how it came about
-- column n_missing: inputs without a value, of two: systolic, diastolic; 0 where the mean is known
SELECT
    patient_id,
    encounter_id,
    measured_at,
    systolic_bp,
    diastolic_bp,
    coalesce(mean_bp, diastolic_bp + (systolic_bp - diastolic_bp) / 3.0) AS mean_pressure,
    'as measured, else diastolic + (systolic - diastolic) / 3' AS variant,
    CASE
        WHEN mean_bp IS NOT NULL THEN 0
        ELSE (systolic_bp IS NULL)::INT + (diastolic_bp IS NULL)::INT
    END AS n_missing
FROM vital_signs
WHERE systolic_bp IS NOT NULL OR diastolic_bp IS NOT NULL OR mean_bp IS NOT NULL

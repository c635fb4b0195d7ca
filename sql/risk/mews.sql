-- title: MEWS
-- description: Modified Early Warning Score at each time at which one of its inputs was measured; inputs look back 12
--   hours. New confusion (C), which the AVPU scale of the score lacks, scores 1. The score sums the points that are
--   known, and is null when none is; with n_missing above 0 it is a lower bound.
-- grain: patient_id, encounter_id, measured_at
-- source: Subbe, QJM 2001;94:521
-- column oldest_input_at: time of the oldest input used
-- column pressure_points: points of the systolic pressure
-- column pulse_points: points of the heart rate
-- column respiratory_points: points of the respiratory rate
-- column temperature_points: points of the temperature
-- column consciousness_points: points of AVPU
-- column variant: definition and look-back
-- column n_missing: inputs without a value in the look-back, of five
-- column score: 0 to 14

-- Of ACVPU and the Glasgow Coma Scale the later statement decides, ACVPU where both are of one time: a scale of 15
-- stands for alert, a lower one leaves open which of V, P and U it is.
SELECT
    patient_id,
    encounter_id,
    measured_at,
    systolic_bp,
    heart_rate,
    respiratory_rate,
    temperature,
    consciousness,
    gcs,
    mews_oldest_input_at AS oldest_input_at,
    mews_pressure_points AS pressure_points,
    mews_pulse_points AS pulse_points,
    mews_respiratory_points AS respiratory_points,
    mews_temperature_points AS temperature_points,
    mews_consciousness_points AS consciousness_points,
    mews_n_missing AS n_missing,
    'Subbe 2001; look-back 12 hours' AS variant,
    mews_score AS score
FROM early_warning_scores
WHERE is_mews

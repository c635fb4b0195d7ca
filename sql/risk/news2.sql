-- title: NEWS2
-- description: National Early Warning Score 2 at each time at which one of its inputs was measured, on SpO2 scale 1 and
--   on scale 2 (for hypercapnic respiratory failure, on a clinician's word only: a view cannot choose it); inputs look
--   back 12 hours, the longest interval that the standard leaves between observations. The scores sum the points that
--   are known; with n_missing above 0 score and risk are lower bounds. not_meant_for names those whom the score was not
--   made for: it is computed all the same.
-- grain: patient_id, encounter_id, measured_at
-- source: Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017
-- column oldest_input_at: time of the oldest input used
-- column respiratory_points: points of the respiratory rate
-- column spo2_points_scale_1: points of SpO2 on scale 1
-- column spo2_points_scale_2: points of SpO2 on scale 2; from 93 % they depend on oxygen
-- column oxygen_points: 2 on supplemental oxygen
-- column pressure_points: points of the systolic pressure
-- column pulse_points: points of the heart rate
-- column consciousness_points: 3 unless alert
-- column temperature_points: points of the temperature
-- column n_missing: inputs without a value in the look-back, of seven
-- column score: sum on scale 1, 0 to 20
-- column score_scale_2: sum on scale 2
-- column risk: low; low-medium (a single parameter of 3); medium (5 or 6); high (7 or more); on scale 1
-- column risk_scale_2: the same on scale 2
-- column variant: definition and look-back
-- column not_meant_for: child (under 16 years) or pregnancy (a diagnosis of it in the visit); else null

-- Of ACVPU and the Glasgow Coma Scale the later statement decides, ACVPU where both are of one time: a scale of 15
-- stands for alert, a lower one for CVPU.
SELECT
    scores.patient_id,
    scores.encounter_id,
    scores.measured_at,
    scores.respiratory_rate,
    scores.spo2,
    scores.oxygen_supplement,
    scores.systolic_bp,
    scores.heart_rate,
    scores.consciousness,
    scores.gcs,
    scores.temperature,
    scores.news2_oldest_input_at AS oldest_input_at,
    scores.respiratory_rate_at,
    scores.spo2_at,
    scores.oxygen_supplement_at,
    scores.systolic_bp_at,
    scores.heart_rate_at,
    scores.level_at,
    scores.temperature_at,
    scores.news2_respiratory_points AS respiratory_points,
    scores.news2_spo2_points_scale_1 AS spo2_points_scale_1,
    scores.news2_spo2_points_scale_2 AS spo2_points_scale_2,
    scores.news2_oxygen_points AS oxygen_points,
    scores.news2_pressure_points AS pressure_points,
    scores.news2_pulse_points AS pulse_points,
    scores.news2_consciousness_points AS consciousness_points,
    scores.news2_temperature_points AS temperature_points,
    scores.news2_n_missing AS n_missing,
    scores.news2_score AS score,
    scores.news2_score_scale_2 AS score_scale_2,
    'RCP 2017, scales 1 and 2; look-back 12 hours' AS variant,
    scores.news2_risk AS risk,
    scores.news2_risk_scale_2 AS risk_scale_2,
    CASE
        WHEN scores.age_years < 16 THEN 'child'
        WHEN pregnant.patient_id IS NOT NULL THEN 'pregnancy'
    END AS not_meant_for
FROM early_warning_scores AS scores
LEFT JOIN pregnant_visits AS pregnant
    ON scores.patient_id = pregnant.patient_id AND scores.encounter_id = pregnant.encounter_id

-- title: NEWS2 at a point in time
-- description: The NEWS2 in force at ts in each visit: that of its latest observations, without the inputs that are
--   more than 12 hours old at ts. The scores sum the points that are known; with n_missing above 0 score and risk are
--   lower bounds.
-- grain: patient_id, encounter_id
-- parameters: ts
-- source: Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017
-- column measured_at: when the latest of the inputs was measured
-- column oldest_input_at: time of the oldest input used
-- column n_missing: inputs without a value in the 12 hours up to ts, of seven
-- column respiratory_points: points of the respiratory rate
-- column spo2_points_scale_1: points of SpO2 on scale 1
-- column spo2_points_scale_2: points of SpO2 on scale 2; from 93 % they depend on oxygen
-- column oxygen_points: 2 on supplemental oxygen
-- column pressure_points: points of the systolic pressure
-- column pulse_points: points of the heart rate
-- column consciousness_points: 3 unless alert
-- column temperature_points: points of the temperature
-- column score: sum on scale 1, 0 to 20
-- column score_scale_2: sum on scale 2
-- column risk: low; low-medium (a single parameter of 3); medium (5 or 6); high (7 or more); on scale 1
-- column risk_scale_2: the same on scale 2
-- column variant: definition and look-back
-- column not_meant_for: child (under 16 years) or pregnancy (a diagnosis of it in the visit); else null

-- Ranked here, not in early_warning_points: DuckDB 1.5 leaves the window in the plan where ts is null.
WITH ranked_scores AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY patient_id, encounter_id ORDER BY measured_at DESC) AS nth
    FROM early_warning_points(coalesce(ts::TIMESTAMPTZ, '-infinity'::TIMESTAMPTZ))
)

SELECT
    scores.patient_id,
    scores.encounter_id,
    scores.measured_at,
    scores.news2_oldest_input_at AS oldest_input_at,
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
    scores.news2_risk AS risk,
    scores.news2_risk_scale_2 AS risk_scale_2,
    'RCP 2017, scales 1 and 2; look-back 12 hours' AS variant,
    CASE
        WHEN scores.age_years < 16 THEN 'child'
        WHEN pregnant.patient_id IS NOT NULL THEN 'pregnancy'
    END AS not_meant_for
FROM ranked_scores AS scores
LEFT JOIN pregnant_visits AS pregnant
    ON scores.patient_id = pregnant.patient_id AND scores.encounter_id = pregnant.encounter_id
WHERE scores.nth = 1

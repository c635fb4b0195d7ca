-- title: NEWS2 at a point in time
-- description: The NEWS2 in force at ts in each visit: that of its latest observations, at most 12 hours old.
-- grain: patient_id, encounter_id
-- parameters: ts
-- source: Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column measured_at: When one of the inputs was measured
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY patient_id, encounter_id ORDER BY measured_at DESC) AS nth
    FROM news2
    WHERE measured_at <= ts::TIMESTAMPTZ AND measured_at >= ts::TIMESTAMPTZ - INTERVAL '12' HOUR
)

SELECT
    patient_id,
    encounter_id,
    measured_at,
    oldest_input_at,
    respiratory_points,
    spo2_points_scale_1,
    spo2_points_scale_2,
    oxygen_points,
    pressure_points,
    pulse_points,
    consciousness_points,
    temperature_points,
    n_missing,
    score,
    score_scale_2,
    risk,
    risk_scale_2,
    variant
FROM ranked
WHERE nth = 1

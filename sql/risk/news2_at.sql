-- title: NEWS2 at a point in time
-- description: The NEWS2 in force at ts in each visit: that of its latest observations, without the inputs that are
--   more than 12 hours old at ts. The scores sum the points that are known; with n_missing above 0 score and risk are
--   lower bounds.
-- grain: patient_id, encounter_id
-- parameters: ts
-- source: Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column measured_at: When the latest of the inputs was measured
-- column oldest_input_at: Time of the oldest input used
-- column n_missing: Inputs without a value in the 12 hours up to ts, of seven
WITH ranked AS (
    SELECT
        *,
        ts::TIMESTAMPTZ - INTERVAL '12' HOUR AS since,
        row_number() OVER (PARTITION BY patient_id, encounter_id ORDER BY measured_at DESC) AS nth
    FROM news2
    WHERE measured_at <= ts::TIMESTAMPTZ AND measured_at >= ts::TIMESTAMPTZ - INTERVAL '12' HOUR
),

points AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        variant,
        not_meant_for,
        least(
            CASE WHEN respiratory_rate_at >= since THEN respiratory_rate_at ELSE measured_at END,
            CASE WHEN spo2_at >= since THEN spo2_at ELSE measured_at END,
            CASE WHEN oxygen_supplement_at >= since THEN oxygen_supplement_at ELSE measured_at END,
            CASE WHEN systolic_bp_at >= since THEN systolic_bp_at ELSE measured_at END,
            CASE WHEN heart_rate_at >= since THEN heart_rate_at ELSE measured_at END,
            CASE WHEN level_at >= since THEN level_at ELSE measured_at END,
            CASE WHEN temperature_at >= since THEN temperature_at ELSE measured_at END
        ) AS oldest_input_at,
        CASE WHEN respiratory_rate_at >= since THEN respiratory_points END AS respiratory_points,
        CASE WHEN spo2_at >= since THEN spo2_points_scale_1 END AS spo2_points_scale_1,
        -- From 93 % the points on scale 2 are those of an oxygen statement, too.
        CASE
            WHEN spo2_at >= since AND (spo2 < 93 OR oxygen_supplement_at >= since) THEN spo2_points_scale_2
        END AS spo2_points_scale_2,
        CASE WHEN oxygen_supplement_at >= since THEN oxygen_points END AS oxygen_points,
        CASE WHEN systolic_bp_at >= since THEN pressure_points END AS pressure_points,
        CASE WHEN heart_rate_at >= since THEN pulse_points END AS pulse_points,
        CASE WHEN level_at >= since THEN consciousness_points END AS consciousness_points,
        CASE WHEN temperature_at >= since THEN temperature_points END AS temperature_points
    FROM ranked
    WHERE nth = 1
),

summed AS (
    SELECT
        *,
        (respiratory_points IS NULL)::INT + (spo2_points_scale_1 IS NULL)::INT + (oxygen_points IS NULL)::INT
        + (pressure_points IS NULL)::INT + (pulse_points IS NULL)::INT + (consciousness_points IS NULL)::INT
        + (temperature_points IS NULL)::INT AS n_missing,
        coalesce(respiratory_points, 0) + coalesce(oxygen_points, 0) + coalesce(pressure_points, 0)
        + coalesce(pulse_points, 0) + coalesce(consciousness_points, 0)
        + coalesce(temperature_points, 0) AS other_points,
        greatest(
            coalesce(respiratory_points, 0), coalesce(pressure_points, 0), coalesce(pulse_points, 0),
            coalesce(consciousness_points, 0), coalesce(temperature_points, 0)
        ) AS highest
    FROM points
),

scored AS (
    SELECT
        *,
        other_points + coalesce(spo2_points_scale_1, 0) AS score,
        other_points + coalesce(spo2_points_scale_2, 0) AS score_scale_2
    FROM summed
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
    CASE
        WHEN score >= 7 THEN 'high'
        WHEN score >= 5 THEN 'medium'
        WHEN highest = 3 OR spo2_points_scale_1 = 3 THEN 'low-medium'
        ELSE 'low'
    END AS risk,
    CASE
        WHEN score_scale_2 >= 7 THEN 'high'
        WHEN score_scale_2 >= 5 THEN 'medium'
        WHEN highest = 3 OR spo2_points_scale_2 = 3 THEN 'low-medium'
        ELSE 'low'
    END AS risk_scale_2,
    variant,
    not_meant_for
FROM scored

-- title: Early-warning scores of all times or at one
-- description: Inputs, points and sums of NEWS2 and MEWS at each time at which an input of NEWS2 was measured, or with
--   ts at each of the 12 hours up to ts, with inputs as old as they are at ts. Inputs look back 12 hours, the longest
--   interval that NEWS2 leaves between observations. early_warning_scores and news2_at show one each.
-- grain: patient_id, encounter_id, measured_at
-- parameters: ts
-- reading: early_warning_measurements for measured_values through vital_signs, latest_vitals
-- source: Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017; Subbe, QJM 2001;94:521
-- column is_mews: whether an input of MEWS is among those that were measured then
-- column news2_oldest_input_at: time of the oldest input that NEWS2 uses
-- column mews_oldest_input_at: time of the oldest input that MEWS uses
-- column respiratory_rate_at: when the respiratory rate was measured; null where it is too old to count
-- column spo2_at: when SpO2 was
-- column oxygen_supplement_at: when it was stated whether oxygen is given
-- column systolic_bp_at: when the systolic pressure was measured
-- column heart_rate_at: when the heart rate was
-- column level_at: when the level of consciousness was stated, as ACVPU or as a Glasgow Coma Scale: the later of both
-- column temperature_at: when the temperature was measured
-- column news2_respiratory_points: NEWS2: points of the respiratory rate
-- column news2_spo2_points_scale_1: NEWS2: points of SpO2 on scale 1
-- column news2_spo2_points_scale_2: NEWS2: points of SpO2 on scale 2; from 93 % they depend on oxygen
-- column news2_oxygen_points: NEWS2: 2 on supplemental oxygen
-- column news2_pressure_points: NEWS2: points of the systolic pressure
-- column news2_pulse_points: NEWS2: points of the heart rate
-- column news2_consciousness_points: NEWS2: 3 unless alert
-- column news2_temperature_points: NEWS2: points of the temperature
-- column mews_pressure_points: MEWS: points of the systolic pressure
-- column mews_pulse_points: MEWS: points of the heart rate
-- column mews_respiratory_points: MEWS: points of the respiratory rate
-- column mews_temperature_points: MEWS: points of the temperature
-- column mews_consciousness_points: MEWS: points of AVPU
-- column news2_n_missing: NEWS2: inputs without a value in the look-back, of seven
-- column news2_score: NEWS2: sum of the points that are known, on scale 1
-- column news2_score_scale_2: NEWS2: the same on scale 2
-- column news2_risk: low; low-medium (a single parameter of 3); medium (5 or 6); high (7 or more); on scale 1
-- column news2_risk_scale_2: the same on scale 2
-- column mews_n_missing: MEWS: inputs without a value in the look-back, of five
-- column mews_score: MEWS: sum of the points that are known, null when none is

-- Not cut into concept views: half of it is the tables of points, which nothing else reads.
WITH latest_observations AS (
    SELECT
        *,
        coalesce(ts::TIMESTAMPTZ, measured_at) - INTERVAL '12' HOUR AS since,
        greatest(coalesce(consciousness_at, gcs_at), coalesce(gcs_at, consciousness_at)) AS level_at
    FROM latest_vitals
    WHERE
        measured_at IN (
            respiratory_rate_at, spo2_at, oxygen_supplement_at, systolic_bp_at, heart_rate_at,
            consciousness_at, gcs_at, temperature_at
        )
        AND (
            ts IS NULL
            OR measured_at BETWEEN ts::TIMESTAMPTZ - INTERVAL '12' HOUR AND ts::TIMESTAMPTZ
        )
),

inputs AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        age_years,
        CASE WHEN respiratory_rate_at >= since THEN respiratory_rate END AS respiratory_rate,
        CASE WHEN spo2_at >= since THEN spo2 END AS spo2,
        CASE WHEN oxygen_supplement_at >= since THEN oxygen_supplement END AS oxygen_supplement,
        CASE WHEN systolic_bp_at >= since THEN systolic_bp END AS systolic_bp,
        CASE WHEN heart_rate_at >= since THEN heart_rate END AS heart_rate,
        CASE WHEN consciousness_at >= since THEN consciousness END AS consciousness,
        CASE WHEN gcs_at >= since THEN gcs END AS gcs,
        CASE WHEN temperature_at >= since THEN temperature END AS temperature,
        least(
            CASE WHEN respiratory_rate_at >= since THEN respiratory_rate_at ELSE measured_at END,
            CASE WHEN spo2_at >= since THEN spo2_at ELSE measured_at END,
            CASE WHEN oxygen_supplement_at >= since THEN oxygen_supplement_at ELSE measured_at END,
            CASE WHEN systolic_bp_at >= since THEN systolic_bp_at ELSE measured_at END,
            CASE WHEN heart_rate_at >= since THEN heart_rate_at ELSE measured_at END,
            CASE WHEN level_at >= since THEN level_at ELSE measured_at END,
            CASE WHEN temperature_at >= since THEN temperature_at ELSE measured_at END
        ) AS news2_oldest_input_at,
        CASE WHEN respiratory_rate_at >= since THEN respiratory_rate_at END AS respiratory_rate_at,
        CASE WHEN spo2_at >= since THEN spo2_at END AS spo2_at,
        CASE WHEN oxygen_supplement_at >= since THEN oxygen_supplement_at END AS oxygen_supplement_at,
        CASE WHEN systolic_bp_at >= since THEN systolic_bp_at END AS systolic_bp_at,
        CASE WHEN heart_rate_at >= since THEN heart_rate_at END AS heart_rate_at,
        CASE WHEN level_at >= since THEN level_at END AS level_at,
        CASE WHEN temperature_at >= since THEN temperature_at END AS temperature_at,
        gcs_at > consciousness_at AS is_gcs_later,
        coalesce(
            measured_at IN (
                systolic_bp_at, heart_rate_at, respiratory_rate_at, temperature_at, consciousness_at, gcs_at
            ), FALSE
        ) AS is_mews,
        least(
            CASE WHEN systolic_bp_at >= since THEN systolic_bp_at ELSE measured_at END,
            CASE WHEN heart_rate_at >= since THEN heart_rate_at ELSE measured_at END,
            CASE WHEN respiratory_rate_at >= since THEN respiratory_rate_at ELSE measured_at END,
            CASE WHEN temperature_at >= since THEN temperature_at ELSE measured_at END,
            CASE WHEN level_at >= since THEN level_at ELSE measured_at END
        ) AS mews_oldest_input_at
    FROM latest_observations
),

points AS (
    SELECT
        *,
        CASE
            WHEN respiratory_rate <= 8 THEN 3
            WHEN respiratory_rate < 12 THEN 1
            WHEN respiratory_rate < 21 THEN 0
            WHEN respiratory_rate < 25 THEN 2
            WHEN respiratory_rate >= 25 THEN 3
        END AS news2_respiratory_points,
        CASE
            WHEN spo2 < 92 THEN 3
            WHEN spo2 < 94 THEN 2
            WHEN spo2 < 96 THEN 1
            WHEN spo2 >= 96 THEN 0
        END AS news2_spo2_points_scale_1,
        CASE
            WHEN spo2 < 84 THEN 3
            WHEN spo2 < 86 THEN 2
            WHEN spo2 < 88 THEN 1
            WHEN spo2 < 93 THEN 0
            WHEN NOT oxygen_supplement AND spo2 >= 93 THEN 0
            WHEN oxygen_supplement AND spo2 < 95 THEN 1
            WHEN oxygen_supplement AND spo2 < 97 THEN 2
            WHEN oxygen_supplement AND spo2 >= 97 THEN 3
        END AS news2_spo2_points_scale_2,
        oxygen_supplement::INT * 2 AS news2_oxygen_points,
        CASE
            WHEN systolic_bp < 91 THEN 3
            WHEN systolic_bp < 101 THEN 2
            WHEN systolic_bp < 111 THEN 1
            WHEN systolic_bp < 220 THEN 0
            WHEN systolic_bp >= 220 THEN 3
        END AS news2_pressure_points,
        CASE
            WHEN heart_rate < 41 THEN 3
            WHEN heart_rate < 51 THEN 1
            WHEN heart_rate < 91 THEN 0
            WHEN heart_rate < 111 THEN 1
            WHEN heart_rate < 131 THEN 2
            WHEN heart_rate >= 131 THEN 3
        END AS news2_pulse_points,
        CASE
            WHEN is_gcs_later AND gcs >= 15 THEN 0
            WHEN is_gcs_later AND gcs < 15 THEN 3
            WHEN consciousness = 'A' THEN 0
            WHEN consciousness IN ('C', 'V', 'P', 'U') THEN 3
            WHEN gcs >= 15 THEN 0
            WHEN gcs < 15 THEN 3
        END AS news2_consciousness_points,
        -- The table has tenths of a degree; readings between two tenths (converted from Fahrenheit) round to one.
        CASE
            WHEN temperature < 35.05 THEN 3
            WHEN temperature < 36.05 THEN 1
            WHEN temperature < 38.05 THEN 0
            WHEN temperature < 39.05 THEN 1
            WHEN temperature >= 39.05 THEN 2
        END AS news2_temperature_points,
        CASE
            WHEN systolic_bp <= 70 THEN 3
            WHEN systolic_bp <= 80 THEN 2
            WHEN systolic_bp <= 100 THEN 1
            WHEN systolic_bp < 200 THEN 0
            WHEN systolic_bp >= 200 THEN 2
        END AS mews_pressure_points,
        CASE
            WHEN heart_rate <= 40 THEN 2
            WHEN heart_rate <= 50 THEN 1
            WHEN heart_rate <= 100 THEN 0
            WHEN heart_rate <= 110 THEN 1
            WHEN heart_rate < 130 THEN 2
            WHEN heart_rate >= 130 THEN 3
        END AS mews_pulse_points,
        CASE
            WHEN respiratory_rate < 9 THEN 2
            WHEN respiratory_rate < 15 THEN 0
            WHEN respiratory_rate < 21 THEN 1
            WHEN respiratory_rate < 30 THEN 2
            WHEN respiratory_rate >= 30 THEN 3
        END AS mews_respiratory_points,
        CASE
            WHEN temperature < 35 THEN 2
            WHEN temperature < 38.5 THEN 0
            WHEN temperature >= 38.5 THEN 2
        END AS mews_temperature_points,
        CASE
            WHEN is_gcs_later THEN CASE WHEN gcs >= 15 THEN 0 END
            WHEN consciousness = 'A' THEN 0
            WHEN consciousness IN ('C', 'V') THEN 1
            WHEN consciousness = 'P' THEN 2
            WHEN consciousness = 'U' THEN 3
            WHEN gcs >= 15 THEN 0
        END AS mews_consciousness_points
    FROM inputs
),

totals AS (
    SELECT
        *,
        (news2_respiratory_points IS NULL)::INT + (news2_spo2_points_scale_1 IS NULL)::INT
        + (news2_oxygen_points IS NULL)::INT + (news2_pressure_points IS NULL)::INT
        + (news2_pulse_points IS NULL)::INT + (news2_consciousness_points IS NULL)::INT
        + (news2_temperature_points IS NULL)::INT AS news2_n_missing,
        coalesce(news2_respiratory_points, 0) + coalesce(news2_oxygen_points, 0) + coalesce(news2_pressure_points, 0)
        + coalesce(news2_pulse_points, 0) + coalesce(news2_consciousness_points, 0)
        + coalesce(news2_temperature_points, 0) AS other_points,
        greatest(
            coalesce(news2_respiratory_points, 0), coalesce(news2_pressure_points, 0), coalesce(news2_pulse_points, 0),
            coalesce(news2_consciousness_points, 0), coalesce(news2_temperature_points, 0)
        ) AS highest,
        (mews_pressure_points IS NULL)::INT + (mews_pulse_points IS NULL)::INT
        + (mews_respiratory_points IS NULL)::INT + (mews_temperature_points IS NULL)::INT
        + (mews_consciousness_points IS NULL)::INT AS mews_n_missing
    FROM points
),

scores AS (
    SELECT
        *,
        other_points + coalesce(news2_spo2_points_scale_1, 0) AS news2_score,
        other_points + coalesce(news2_spo2_points_scale_2, 0) AS news2_score_scale_2,
        CASE
            WHEN mews_n_missing < 5
                THEN
                    coalesce(mews_pressure_points, 0) + coalesce(mews_pulse_points, 0)
                    + coalesce(mews_respiratory_points, 0) + coalesce(mews_temperature_points, 0)
                    + coalesce(mews_consciousness_points, 0)
        END AS mews_score
    FROM totals
)

SELECT
    patient_id,
    encounter_id,
    measured_at,
    age_years,
    is_mews,
    respiratory_rate,
    spo2,
    oxygen_supplement,
    systolic_bp,
    heart_rate,
    consciousness,
    gcs,
    temperature,
    news2_oldest_input_at,
    mews_oldest_input_at,
    respiratory_rate_at,
    spo2_at,
    oxygen_supplement_at,
    systolic_bp_at,
    heart_rate_at,
    level_at,
    temperature_at,
    news2_respiratory_points,
    news2_spo2_points_scale_1,
    news2_spo2_points_scale_2,
    news2_oxygen_points,
    news2_pressure_points,
    news2_pulse_points,
    news2_consciousness_points,
    news2_temperature_points,
    news2_n_missing,
    news2_score,
    news2_score_scale_2,
    mews_pressure_points,
    mews_pulse_points,
    mews_respiratory_points,
    mews_temperature_points,
    mews_consciousness_points,
    mews_n_missing,
    mews_score,
    CASE
        WHEN news2_score >= 7 THEN 'high'
        WHEN news2_score >= 5 THEN 'medium'
        WHEN highest = 3 OR news2_spo2_points_scale_1 = 3 THEN 'low-medium'
        ELSE 'low'
    END AS news2_risk,
    CASE
        WHEN news2_score_scale_2 >= 7 THEN 'high'
        WHEN news2_score_scale_2 >= 5 THEN 'medium'
        WHEN highest = 3 OR news2_spo2_points_scale_2 = 3 THEN 'low-medium'
        ELSE 'low'
    END AS news2_risk_scale_2
FROM scores

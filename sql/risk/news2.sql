-- title: NEWS2
-- description: National Early Warning Score 2 at each time at which one of its inputs was measured, on SpO2 scale 1 and
--   on scale 2 (for hypercapnic respiratory failure, on a clinician's word only: a view cannot choose it). Inputs look
--   back 12 hours, the longest interval that the standard leaves between observations. Of ACVPU and the Glasgow Coma
--   Scale the later statement decides, ACVPU where both are of one time: a scale of 15 stands for alert, a lower one
--   for CVPU. The scores sum the points that are known; with n_missing above 0 score and risk are lower bounds.
--   not_meant_for names those whom the score was not made for: it is computed all the same.
-- grain: patient_id, encounter_id, measured_at
-- source: Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column measured_at: When one of the inputs was measured
-- column oldest_input_at: Time of the oldest input used
-- column respiratory_rate_at: When the respiratory rate was measured; null where it is too old to count
-- column spo2_at: When SpO2 was
-- column oxygen_supplement_at: When it was stated whether oxygen is given
-- column systolic_bp_at: When the systolic pressure was measured
-- column heart_rate_at: When the heart rate was
-- column level_at: When the level of consciousness was stated, as ACVPU or as a Glasgow Coma Scale: the later of both
-- column temperature_at: When the temperature was measured
-- column respiratory_points: Points of the respiratory rate
-- column spo2_points_scale_1: Points of SpO2 on scale 1
-- column spo2_points_scale_2: Points of SpO2 on scale 2; from 93 % they depend on oxygen
-- column oxygen_points: 2 on supplemental oxygen
-- column pressure_points: Points of the systolic pressure
-- column pulse_points: Points of the heart rate
-- column consciousness_points: 3 unless alert
-- column temperature_points: Points of the temperature
-- column n_missing: Inputs without a value in the look-back, of seven
-- column score: Sum on scale 1, 0 to 20
-- column score_scale_2: Sum on scale 2
-- column risk: low; low-medium (a single parameter of 3); medium (5 or 6); high (7 or more); on scale 1
-- column risk_scale_2: The same on scale 2
-- column variant: Definition and look-back
-- column not_meant_for: child (under 16 years) or pregnancy (a diagnosis of it in the visit); else null
WITH observed AS (
    SELECT
        *,
        measured_at - INTERVAL '12' HOUR AS since,
        greatest(coalesce(consciousness_at, gcs_at), coalesce(gcs_at, consciousness_at)) AS level_at
    FROM latest_vitals
    WHERE
        measured_at IN (
            respiratory_rate_at, spo2_at, oxygen_supplement_at, systolic_bp_at, heart_rate_at,
            consciousness_at, gcs_at, temperature_at
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
        ) AS oldest_input_at,
        CASE WHEN respiratory_rate_at >= since THEN respiratory_rate_at END AS respiratory_rate_at,
        CASE WHEN spo2_at >= since THEN spo2_at END AS spo2_at,
        CASE WHEN oxygen_supplement_at >= since THEN oxygen_supplement_at END AS oxygen_supplement_at,
        CASE WHEN systolic_bp_at >= since THEN systolic_bp_at END AS systolic_bp_at,
        CASE WHEN heart_rate_at >= since THEN heart_rate_at END AS heart_rate_at,
        CASE WHEN level_at >= since THEN level_at END AS level_at,
        CASE WHEN temperature_at >= since THEN temperature_at END AS temperature_at,
        gcs_at > consciousness_at AS is_gcs_later
    FROM observed
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
        END AS respiratory_points,
        CASE
            WHEN spo2 < 92 THEN 3
            WHEN spo2 < 94 THEN 2
            WHEN spo2 < 96 THEN 1
            WHEN spo2 >= 96 THEN 0
        END AS spo2_points_scale_1,
        CASE
            WHEN spo2 < 84 THEN 3
            WHEN spo2 < 86 THEN 2
            WHEN spo2 < 88 THEN 1
            WHEN spo2 < 93 THEN 0
            WHEN NOT oxygen_supplement AND spo2 >= 93 THEN 0
            WHEN oxygen_supplement AND spo2 < 95 THEN 1
            WHEN oxygen_supplement AND spo2 < 97 THEN 2
            WHEN oxygen_supplement AND spo2 >= 97 THEN 3
        END AS spo2_points_scale_2,
        oxygen_supplement::INT * 2 AS oxygen_points,
        CASE
            WHEN systolic_bp < 91 THEN 3
            WHEN systolic_bp < 101 THEN 2
            WHEN systolic_bp < 111 THEN 1
            WHEN systolic_bp < 220 THEN 0
            WHEN systolic_bp >= 220 THEN 3
        END AS pressure_points,
        CASE
            WHEN heart_rate < 41 THEN 3
            WHEN heart_rate < 51 THEN 1
            WHEN heart_rate < 91 THEN 0
            WHEN heart_rate < 111 THEN 1
            WHEN heart_rate < 131 THEN 2
            WHEN heart_rate >= 131 THEN 3
        END AS pulse_points,
        CASE
            WHEN is_gcs_later AND gcs >= 15 THEN 0
            WHEN is_gcs_later AND gcs < 15 THEN 3
            WHEN consciousness = 'A' THEN 0
            WHEN consciousness IN ('C', 'V', 'P', 'U') THEN 3
            WHEN gcs >= 15 THEN 0
            WHEN gcs < 15 THEN 3
        END AS consciousness_points,
        -- The table has tenths of a degree; readings between two tenths (converted from Fahrenheit) round to one.
        CASE
            WHEN temperature < 35.05 THEN 3
            WHEN temperature < 36.05 THEN 1
            WHEN temperature < 38.05 THEN 0
            WHEN temperature < 39.05 THEN 1
            WHEN temperature >= 39.05 THEN 2
        END AS temperature_points
    FROM inputs
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
),

pregnant AS (
    SELECT DISTINCT
        patient_id,
        encounter_id
    FROM patient_condition_groups
    WHERE condition IN ('pregnancy', 'gestational_diabetes') AND encounter_id IS NOT NULL
)

SELECT
    scored.patient_id,
    scored.encounter_id,
    scored.measured_at,
    scored.respiratory_rate,
    scored.spo2,
    scored.oxygen_supplement,
    scored.systolic_bp,
    scored.heart_rate,
    scored.consciousness,
    scored.gcs,
    scored.temperature,
    scored.oldest_input_at,
    scored.respiratory_rate_at,
    scored.spo2_at,
    scored.oxygen_supplement_at,
    scored.systolic_bp_at,
    scored.heart_rate_at,
    scored.level_at,
    scored.temperature_at,
    scored.respiratory_points,
    scored.spo2_points_scale_1,
    scored.spo2_points_scale_2,
    scored.oxygen_points,
    scored.pressure_points,
    scored.pulse_points,
    scored.consciousness_points,
    scored.temperature_points,
    scored.n_missing,
    scored.score,
    scored.score_scale_2,
    'RCP 2017, scales 1 and 2; look-back 12 hours' AS variant,
    CASE
        WHEN scored.score >= 7 THEN 'high'
        WHEN scored.score >= 5 THEN 'medium'
        WHEN scored.highest = 3 OR scored.spo2_points_scale_1 = 3 THEN 'low-medium'
        ELSE 'low'
    END AS risk,
    CASE
        WHEN scored.score_scale_2 >= 7 THEN 'high'
        WHEN scored.score_scale_2 >= 5 THEN 'medium'
        WHEN scored.highest = 3 OR scored.spo2_points_scale_2 = 3 THEN 'low-medium'
        ELSE 'low'
    END AS risk_scale_2,
    CASE
        WHEN scored.age_years < 16 THEN 'child'
        WHEN pregnant.patient_id IS NOT NULL THEN 'pregnancy'
    END AS not_meant_for
FROM scored
LEFT JOIN pregnant ON scored.patient_id = pregnant.patient_id AND scored.encounter_id = pregnant.encounter_id

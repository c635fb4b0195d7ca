-- title: MEWS
-- description: Modified Early Warning Score at each time at which one of its inputs was measured. Inputs look back 12
--   hours. New confusion (C), which the AVPU scale of the score lacks, scores 1. Of ACVPU and the Glasgow Coma Scale
--   the later statement decides, ACVPU where both are of one time: a scale of 15 stands for alert, a lower one leaves
--   open which of V, P and U it is. The score sums the points that are known, and is null when none is; with n_missing
--   above 0 it is a lower bound.
-- grain: patient_id, encounter_id, measured_at
-- source: Subbe, QJM 2001;94:521
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column measured_at: When one of the inputs was measured
-- column oldest_input_at: Time of the oldest input used
-- column pressure_points: Points of the systolic pressure
-- column pulse_points: Points of the heart rate
-- column respiratory_points: Points of the respiratory rate
-- column temperature_points: Points of the temperature
-- column consciousness_points: Points of AVPU
-- column variant: Definition and look-back
-- column n_missing: Inputs without a value in the look-back, of five
-- column score: 0 to 14
WITH observed AS (
    SELECT
        *,
        measured_at - INTERVAL '12' HOUR AS since,
        greatest(coalesce(consciousness_at, gcs_at), coalesce(gcs_at, consciousness_at)) AS level_at
    FROM latest_vitals
    WHERE
        measured_at IN (
            systolic_bp_at, heart_rate_at, respiratory_rate_at, temperature_at, consciousness_at, gcs_at
        )
),

inputs AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        CASE WHEN systolic_bp_at >= since THEN systolic_bp END AS systolic_bp,
        CASE WHEN heart_rate_at >= since THEN heart_rate END AS heart_rate,
        CASE WHEN respiratory_rate_at >= since THEN respiratory_rate END AS respiratory_rate,
        CASE WHEN temperature_at >= since THEN temperature END AS temperature,
        CASE WHEN consciousness_at >= since THEN consciousness END AS consciousness,
        CASE WHEN gcs_at >= since THEN gcs END AS gcs,
        least(
            CASE WHEN systolic_bp_at >= since THEN systolic_bp_at ELSE measured_at END,
            CASE WHEN heart_rate_at >= since THEN heart_rate_at ELSE measured_at END,
            CASE WHEN respiratory_rate_at >= since THEN respiratory_rate_at ELSE measured_at END,
            CASE WHEN temperature_at >= since THEN temperature_at ELSE measured_at END,
            CASE WHEN level_at >= since THEN level_at ELSE measured_at END
        ) AS oldest_input_at,
        gcs_at > consciousness_at AS is_gcs_later
    FROM observed
),

points AS (
    SELECT
        *,
        CASE
            WHEN systolic_bp <= 70 THEN 3
            WHEN systolic_bp <= 80 THEN 2
            WHEN systolic_bp <= 100 THEN 1
            WHEN systolic_bp < 200 THEN 0
            WHEN systolic_bp >= 200 THEN 2
        END AS pressure_points,
        CASE
            WHEN heart_rate <= 40 THEN 2
            WHEN heart_rate <= 50 THEN 1
            WHEN heart_rate <= 100 THEN 0
            WHEN heart_rate <= 110 THEN 1
            WHEN heart_rate < 130 THEN 2
            WHEN heart_rate >= 130 THEN 3
        END AS pulse_points,
        CASE
            WHEN respiratory_rate < 9 THEN 2
            WHEN respiratory_rate < 15 THEN 0
            WHEN respiratory_rate < 21 THEN 1
            WHEN respiratory_rate < 30 THEN 2
            WHEN respiratory_rate >= 30 THEN 3
        END AS respiratory_points,
        CASE
            WHEN temperature < 35 THEN 2
            WHEN temperature < 38.5 THEN 0
            WHEN temperature >= 38.5 THEN 2
        END AS temperature_points,
        CASE
            WHEN is_gcs_later THEN CASE WHEN gcs >= 15 THEN 0 END
            WHEN consciousness = 'A' THEN 0
            WHEN consciousness IN ('C', 'V') THEN 1
            WHEN consciousness = 'P' THEN 2
            WHEN consciousness = 'U' THEN 3
            WHEN gcs >= 15 THEN 0
        END AS consciousness_points
    FROM inputs
),

counted AS (
    SELECT
        *,
        (pressure_points IS NULL)::INT + (pulse_points IS NULL)::INT + (respiratory_points IS NULL)::INT
        + (temperature_points IS NULL)::INT + (consciousness_points IS NULL)::INT AS n_missing
    FROM points
)

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
    oldest_input_at,
    pressure_points,
    pulse_points,
    respiratory_points,
    temperature_points,
    consciousness_points,
    n_missing,
    'Subbe 2001; look-back 12 hours' AS variant,
    CASE
        WHEN n_missing < 5
            THEN
                coalesce(pressure_points, 0) + coalesce(pulse_points, 0) + coalesce(respiratory_points, 0)
                + coalesce(temperature_points, 0) + coalesce(consciousness_points, 0)
    END AS score
FROM counted

-- title: qSOFA
-- description: Quick SOFA at each time at which one of its inputs was measured. Inputs look back 24 hours. The score
--   sums the points that are known; with n_missing above 0 it is a lower bound. positive is null where the inputs that
--   are not known would decide.
-- grain: patient_id, encounter_id, measured_at
-- source: Singer, JAMA 2016;315:801. A Glasgow Coma Scale below 15 scores, as Sepsis-3 has it.
-- column measured_at: when one of the inputs was measured
-- column oldest_input_at: time of the oldest input used
-- column respiratory_points: 1 from 22 breaths per minute
-- column pressure_points: 1 up to a systolic pressure of 100 mmHg
-- column consciousness_points: 1 below a Glasgow Coma Scale of 15
-- column variant: definition and look-back
-- column n_missing: inputs without a value in the look-back, of three
-- column score: 0 to 3
-- column positive: whether the score is 2 or more
WITH latest AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        last_value(respiratory_rate IGNORE NULLS) OVER so_far AS respiratory_rate,
        max(CASE WHEN respiratory_rate IS NOT NULL THEN measured_at END) OVER so_far AS respiratory_rate_at,
        last_value(systolic_bp IGNORE NULLS) OVER so_far AS systolic_bp,
        max(CASE WHEN systolic_bp IS NOT NULL THEN measured_at END) OVER so_far AS systolic_bp_at,
        last_value(gcs IGNORE NULLS) OVER so_far AS gcs,
        max(CASE WHEN gcs IS NOT NULL THEN measured_at END) OVER so_far AS gcs_at
    FROM acute_values
    -- A time at which only others were measured brings nothing new.
    WHERE measured_at IS NOT NULL AND coalesce(respiratory_rate, systolic_bp, gcs) IS NOT NULL
    WINDOW so_far AS (
        PARTITION BY patient_id, encounter_id ORDER BY measured_at
        RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),

observed AS (
    SELECT
        *,
        measured_at - INTERVAL '24' HOUR AS since
    FROM latest
),

inputs AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        CASE WHEN respiratory_rate_at >= since THEN respiratory_rate END AS respiratory_rate,
        CASE WHEN systolic_bp_at >= since THEN systolic_bp END AS systolic_bp,
        CASE WHEN gcs_at >= since THEN gcs END AS gcs,
        least(
            CASE WHEN respiratory_rate_at >= since THEN respiratory_rate_at ELSE measured_at END,
            CASE WHEN systolic_bp_at >= since THEN systolic_bp_at ELSE measured_at END,
            CASE WHEN gcs_at >= since THEN gcs_at ELSE measured_at END
        ) AS oldest_input_at
    FROM observed
),

points AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        respiratory_rate,
        systolic_bp,
        gcs,
        oldest_input_at,
        (respiratory_rate >= 22)::INT AS respiratory_points,
        (systolic_bp <= 100)::INT AS pressure_points,
        (gcs < 15)::INT AS consciousness_points,
        (respiratory_rate IS NULL)::INT + (systolic_bp IS NULL)::INT + (gcs IS NULL)::INT AS n_missing
    FROM inputs
),

scores AS (
    SELECT
        *,
        coalesce(respiratory_points, 0) + coalesce(pressure_points, 0) + coalesce(consciousness_points, 0) AS score
    FROM points
)

SELECT
    patient_id,
    encounter_id,
    measured_at,
    respiratory_rate,
    systolic_bp,
    gcs,
    oldest_input_at,
    respiratory_points,
    pressure_points,
    consciousness_points,
    n_missing,
    score,
    'Sepsis-3; look-back 24 hours' AS variant,
    CASE WHEN score >= 2 THEN TRUE WHEN score + n_missing < 2 THEN FALSE END AS positive
FROM scores

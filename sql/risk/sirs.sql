-- title: SIRS
-- description: Systemic inflammatory response criteria at each time at which a vital sign or a laboratory input was
--   measured. Inputs look back 24 hours. The score sums the criteria that are known, and is null when none is; with
--   n_missing above 0 it is a lower bound. positive is null where the criteria that are not known would decide.
-- grain: patient_id, encounter_id, measured_at
-- source: Bone, Chest 1992;101:1644
-- column measured_at: when one of the inputs was measured
-- column oldest_input_at: time of the oldest input used
-- column temperature: temperature, degrees Celsius
-- column heart_rate: heart rate, beats per minute
-- column respiratory_rate: breaths per minute
-- column paco2: arterial carbon dioxide pressure, mmHg
-- column wbc: white blood cells, 10^9/L
-- column bands_percent: band forms, percent of the white blood cells
-- column temperature_point: 1 above 38 or below 36 degrees
-- column pulse_point: 1 above 90 beats per minute
-- column respiratory_point: 1 above 20 breaths per minute, or below 32 mmHg of carbon dioxide
-- column leukocyte_point: 1 above 12 or below 4 x 10^9/L, or above 10 percent of band forms
-- column variant: definition and look-back
-- column n_missing: criteria that no input decides, of four
-- column score: 0 to 4
-- column positive: whether the score is 2 or more

-- Not cut into concept views: nothing else reads one of its steps.
WITH events AS (
    SELECT
        patient_id,
        encounter_id,
        observed_at AS measured_at,
        analyte,
        value
    FROM measured_values
    WHERE
        analyte IN ('temperature', 'heart_rate', 'respiratory_rate', 'paco2', 'wbc', 'bands_percent')
        AND value IS NOT NULL
        AND coalesce(plausible, TRUE)
        -- of a laboratory, below or above what can be measured is no number
        AND (comparator IS NULL OR analyte IN ('temperature', 'heart_rate', 'respiratory_rate'))
        AND observed_at IS NOT NULL
),

-- Of several at one time the highest, as in vital_signs; of a laboratory's, which may be too low as well as too high,
-- the middle.
measurements AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        max(CASE WHEN analyte = 'temperature' THEN value END) AS temperature,
        max(CASE WHEN analyte = 'heart_rate' THEN value END) AS heart_rate,
        max(CASE WHEN analyte = 'respiratory_rate' THEN value END) AS respiratory_rate,
        (
            min(CASE WHEN analyte = 'paco2' THEN value END) + max(CASE WHEN analyte = 'paco2' THEN value END)
        ) / 2 AS paco2,
        (min(CASE WHEN analyte = 'wbc' THEN value END) + max(CASE WHEN analyte = 'wbc' THEN value END)) / 2 AS wbc,
        (
            min(CASE WHEN analyte = 'bands_percent' THEN value END)
            + max(CASE WHEN analyte = 'bands_percent' THEN value END)
        ) / 2 AS bands_percent
    FROM events
    GROUP BY patient_id, encounter_id, measured_at
),

carried AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        measured_at - INTERVAL '24' HOUR AS since,
        last_value(temperature IGNORE NULLS) OVER so_far AS temperature,
        max(CASE WHEN temperature IS NOT NULL THEN measured_at END) OVER so_far AS temperature_at,
        last_value(heart_rate IGNORE NULLS) OVER so_far AS heart_rate,
        max(CASE WHEN heart_rate IS NOT NULL THEN measured_at END) OVER so_far AS heart_rate_at,
        last_value(respiratory_rate IGNORE NULLS) OVER so_far AS respiratory_rate,
        max(CASE WHEN respiratory_rate IS NOT NULL THEN measured_at END) OVER so_far AS respiratory_rate_at,
        last_value(paco2 IGNORE NULLS) OVER so_far AS paco2,
        max(CASE WHEN paco2 IS NOT NULL THEN measured_at END) OVER so_far AS paco2_at,
        last_value(wbc IGNORE NULLS) OVER so_far AS wbc,
        max(CASE WHEN wbc IS NOT NULL THEN measured_at END) OVER so_far AS wbc_at,
        last_value(bands_percent IGNORE NULLS) OVER so_far AS bands_percent,
        max(CASE WHEN bands_percent IS NOT NULL THEN measured_at END) OVER so_far AS bands_percent_at
    FROM measurements
    WINDOW so_far AS (PARTITION BY patient_id, encounter_id ORDER BY measured_at ROWS UNBOUNDED PRECEDING)
),

inputs AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        CASE WHEN temperature_at >= since THEN temperature END AS temperature,
        CASE WHEN heart_rate_at >= since THEN heart_rate END AS heart_rate,
        CASE WHEN respiratory_rate_at >= since THEN respiratory_rate END AS respiratory_rate,
        CASE WHEN paco2_at >= since THEN paco2 END AS paco2,
        CASE WHEN wbc_at >= since THEN wbc END AS wbc,
        CASE WHEN bands_percent_at >= since THEN bands_percent END AS bands_percent,
        least(
            CASE WHEN temperature_at >= since THEN temperature_at ELSE measured_at END,
            CASE WHEN heart_rate_at >= since THEN heart_rate_at ELSE measured_at END,
            CASE WHEN respiratory_rate_at >= since THEN respiratory_rate_at ELSE measured_at END,
            CASE WHEN paco2_at >= since THEN paco2_at ELSE measured_at END,
            CASE WHEN wbc_at >= since THEN wbc_at ELSE measured_at END,
            CASE WHEN bands_percent_at >= since THEN bands_percent_at ELSE measured_at END
        ) AS oldest_input_at
    FROM carried
),

points AS (
    SELECT
        *,
        (temperature > 38 OR temperature < 36)::INT AS temperature_point,
        (heart_rate > 90)::INT AS pulse_point,
        -- Either sign is enough; a normal rate alone decides too, where no blood gas was drawn.
        CASE
            WHEN respiratory_rate > 20 OR paco2 < 32 THEN 1
            WHEN respiratory_rate IS NOT NULL OR paco2 IS NOT NULL THEN 0
        END AS respiratory_point,
        CASE
            WHEN wbc > 12 OR wbc < 4 OR bands_percent > 10 THEN 1
            WHEN wbc IS NOT NULL THEN 0
        END AS leukocyte_point
    FROM inputs
),

totals AS (
    SELECT
        *,
        (temperature_point IS NULL)::INT + (pulse_point IS NULL)::INT + (respiratory_point IS NULL)::INT
        + (leukocyte_point IS NULL)::INT AS n_missing
    FROM points
),

scores AS (
    SELECT
        *,
        CASE
            WHEN n_missing < 4
                THEN
                    coalesce(temperature_point, 0) + coalesce(pulse_point, 0) + coalesce(respiratory_point, 0)
                    + coalesce(leukocyte_point, 0)
        END AS score
    FROM totals
)

SELECT
    patient_id,
    encounter_id,
    measured_at,
    temperature,
    heart_rate,
    respiratory_rate,
    paco2,
    wbc,
    bands_percent,
    oldest_input_at,
    temperature_point,
    pulse_point,
    respiratory_point,
    leukocyte_point,
    n_missing,
    score,
    'Bone 1992; look-back 24 hours' AS variant,
    CASE WHEN score >= 2 THEN TRUE WHEN score + n_missing < 2 THEN FALSE END AS positive
FROM scores

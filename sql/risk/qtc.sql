-- title: Corrected QT interval
-- description: Each QT interval corrected for the heart rate of the same visit, at most 10 minutes before, by four
--   formulas. Null without a heart rate.
-- grain: record_id, ordinal
-- source: Bazett, Heart 1920;7:353; Fridericia, Acta Med Scand 1920;53:469; Sagie, Am J Cardiol 1992;70:797; Hodges
--   1983
-- column measured_at: when the interval was measured
-- column qt_ms: QT interval, ms
-- column heart_rate: heart rate, beats per minute
-- column heart_rate_at: when that was measured
-- column qtc_bazett: QT / square root of RR in seconds, ms
-- column qtc_fridericia: QT / cube root of RR, ms
-- column qtc_framingham: QT + 154 x (1 - RR), ms
-- column qtc_hodges: QT + 1.75 x (heart rate - 60), ms
-- column variant: formulas and look-back
-- column n_missing: inputs without a value, of two: QT, heart rate
-- column band: by Bazett: prolonged above 450 ms (female above 460), long from 500; null where the sex is not known
WITH events AS (
    SELECT
        record_id,
        ordinal,
        patient_id,
        encounter_id,
        observed_at AS measured_at,
        CASE WHEN comparator IS NULL THEN value END AS qt_ms,
        NULL::DOUBLE AS heart_rate
    FROM lab_results
    WHERE analyte = 'qt_interval' AND coalesce(plausible, TRUE) AND observed_at IS NOT NULL
    UNION ALL
    SELECT
        NULL::VARCHAR AS record_id,
        NULL::INT AS ordinal,
        patient_id,
        encounter_id,
        measured_at,
        NULL::DOUBLE AS qt_ms,
        heart_rate
    FROM vital_signs
    WHERE heart_rate > 0
),

carried AS (
    SELECT
        record_id,
        ordinal,
        patient_id,
        encounter_id,
        measured_at,
        qt_ms,
        last_value(heart_rate IGNORE NULLS) OVER so_far AS heart_rate,
        max(CASE WHEN heart_rate IS NOT NULL THEN measured_at END) OVER so_far AS heart_rate_at
    FROM events
    WINDOW so_far AS (
        PARTITION BY patient_id, encounter_id ORDER BY measured_at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),

inputs AS (
    SELECT
        record_id,
        ordinal,
        patient_id,
        encounter_id,
        measured_at,
        qt_ms,
        CASE WHEN heart_rate_at >= measured_at - INTERVAL '10' MINUTE THEN heart_rate END AS heart_rate,
        CASE WHEN heart_rate_at >= measured_at - INTERVAL '10' MINUTE THEN heart_rate_at END AS heart_rate_at
    FROM carried
    WHERE record_id IS NOT NULL
),

corrected AS (
    SELECT
        inputs.*,
        patients.sex,
        inputs.qt_ms / sqrt(60.0 / inputs.heart_rate) AS qtc_bazett,
        inputs.qt_ms / power(60.0 / inputs.heart_rate, 1.0 / 3.0) AS qtc_fridericia,
        inputs.qt_ms + 154 * (1 - 60.0 / inputs.heart_rate) AS qtc_framingham,
        inputs.qt_ms + 1.75 * (inputs.heart_rate - 60) AS qtc_hodges
    FROM inputs
    LEFT JOIN patients_current AS patients ON inputs.patient_id = patients.patient_id
)

SELECT
    record_id,
    ordinal,
    patient_id,
    encounter_id,
    measured_at,
    qt_ms,
    heart_rate,
    heart_rate_at,
    qtc_bazett,
    qtc_fridericia,
    qtc_framingham,
    qtc_hodges,
    'Bazett, Fridericia, Framingham, Hodges; look-back 10 minutes' AS variant,
    (qt_ms IS NULL)::INT + (heart_rate IS NULL)::INT AS n_missing,
    CASE
        WHEN qtc_bazett >= 500 THEN 'long'
        WHEN sex = 'female' AND qtc_bazett > 460 THEN 'prolonged'
        WHEN sex = 'male' AND qtc_bazett > 450 THEN 'prolonged'
        WHEN sex IN ('female', 'male') AND qtc_bazett IS NOT NULL THEN 'normal'
    END AS band
FROM corrected

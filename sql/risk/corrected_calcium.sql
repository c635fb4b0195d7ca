-- title: Corrected calcium
-- description: Total calcium corrected for albumin, at each time at which either was observed. Inputs look back 24
--   hours. Null unless both are known.
-- grain: patient_id, measured_at
-- source: Payne, BMJ 1973;4:643, in mg/dL with a reference albumin of 4.0 g/dL
-- column patient_id: Pseudonym of the patient
-- column measured_at: When one of the inputs was observed
-- column oldest_input_at: Time of the oldest input used
-- column calcium: Total calcium, mg/dL
-- column albumin: Albumin, g/dL
-- column variant: Formula and look-back
-- column corrected_calcium: calcium + 0.8 x (4.0 - albumin), mg/dL
-- column n_missing: Inputs without a value, of two
WITH observed AS (
    SELECT
        *,
        measured_at - INTERVAL '24' HOUR AS since
    FROM latest_labs
    WHERE measured_at IN (calcium_at, albumin_at)
),

inputs AS (
    SELECT
        patient_id,
        measured_at,
        CASE WHEN calcium_at >= since THEN calcium END AS calcium,
        CASE WHEN albumin_at >= since THEN albumin END AS albumin,
        least(
            CASE WHEN calcium_at >= since THEN calcium_at ELSE measured_at END,
            CASE WHEN albumin_at >= since THEN albumin_at ELSE measured_at END
        ) AS oldest_input_at
    FROM observed
)

SELECT
    patient_id,
    measured_at,
    oldest_input_at,
    calcium,
    albumin,
    'Payne 1973; look-back 24 hours' AS variant,
    calcium + 0.8 * (4.0 - albumin) AS corrected_calcium,
    (calcium IS NULL)::INT + (albumin IS NULL)::INT AS n_missing
FROM inputs

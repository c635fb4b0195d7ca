-- title: Corrected calcium
-- description: Total calcium corrected for albumin, at each time at which either was observed. Inputs look back 24
--   hours. Null unless both are known.
-- grain: patient_id, measured_at
-- source: Payne, BMJ 1973;4:643, in mg/dL with a reference albumin of 4.0 g/dL
-- column measured_at: when one of the inputs was observed
-- column oldest_input_at: time of the oldest input used
-- column variant: formula and look-back
-- column corrected_calcium: calcium + 0.8 x (4.0 - albumin), mg/dL
-- column n_missing: inputs without a value, of two
WITH inputs AS (
    SELECT
        patient_id,
        measured_at,
        calcium,
        albumin,
        least(coalesce(calcium_at, measured_at), coalesce(albumin_at, measured_at)) AS oldest_input_at
    FROM recent_labs
    WHERE formula = 'corrected_calcium' AND measured_at IN (calcium_at, albumin_at)
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

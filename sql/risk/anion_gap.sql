-- title: Anion gap
-- description: Serum anion gap without potassium, and the same corrected for albumin, at each time at which one of the
--   inputs was observed. Inputs look back 6 hours. Null unless sodium, chloride and bicarbonate are known.
-- grain: patient_id, measured_at
-- source: Emmett, Medicine 1977;56:38; correction Figge, Crit Care Med 1998;26:1807
-- column measured_at: when one of the inputs was observed
-- column oldest_input_at: time of the oldest input used
-- column variant: formula and look-back
-- column anion_gap: sodium - (chloride + bicarbonate), mmol/L
-- column anion_gap_corrected: anion gap + 2.5 x (4.0 - albumin), mmol/L; null without albumin
-- column n_missing: inputs without a value, of four
WITH inputs AS (
    SELECT
        patient_id,
        measured_at,
        sodium,
        chloride,
        bicarbonate,
        albumin,
        least(
            coalesce(sodium_at, measured_at),
            coalesce(chloride_at, measured_at),
            coalesce(bicarbonate_at, measured_at),
            coalesce(albumin_at, measured_at)
        ) AS oldest_input_at
    FROM recent_labs
    WHERE formula = 'anion_gap' AND measured_at IN (sodium_at, chloride_at, bicarbonate_at, albumin_at)
)

SELECT
    patient_id,
    measured_at,
    oldest_input_at,
    sodium,
    chloride,
    bicarbonate,
    albumin,
    'without potassium; look-back 6 hours' AS variant,
    sodium - (chloride + bicarbonate) AS anion_gap,
    sodium - (chloride + bicarbonate) + 2.5 * (4.0 - albumin) AS anion_gap_corrected,
    (sodium IS NULL)::INT + (chloride IS NULL)::INT + (bicarbonate IS NULL)::INT + (albumin IS NULL)::INT AS n_missing
FROM inputs

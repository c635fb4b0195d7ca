-- title: Anion gap
-- description: Serum anion gap without potassium, and the same corrected for albumin, at each time at which one of the
--   inputs was observed. Inputs look back 6 hours. Null unless sodium, chloride and bicarbonate are known.
-- grain: patient_id, measured_at
-- source: Emmett, Medicine 1977;56:38; correction Figge, Crit Care Med 1998;26:1807
-- column patient_id: Pseudonym of the patient
-- column measured_at: When one of the inputs was observed
-- column oldest_input_at: Time of the oldest input used
-- column sodium: Sodium, mmol/L
-- column chloride: Chloride, mmol/L
-- column bicarbonate: Bicarbonate, mmol/L
-- column albumin: Albumin, g/dL
-- column variant: Formula and look-back
-- column anion_gap: sodium - (chloride + bicarbonate), mmol/L
-- column anion_gap_corrected: anion gap + 2.5 x (4.0 - albumin), mmol/L; null without albumin
-- column n_missing: Inputs without a value, of four
WITH observed AS (
    SELECT
        *,
        measured_at - INTERVAL '6' HOUR AS since
    FROM latest_labs
    WHERE measured_at IN (sodium_at, chloride_at, bicarbonate_at, albumin_at)
),

inputs AS (
    SELECT
        patient_id,
        measured_at,
        CASE WHEN sodium_at >= since THEN sodium END AS sodium,
        CASE WHEN chloride_at >= since THEN chloride END AS chloride,
        CASE WHEN bicarbonate_at >= since THEN bicarbonate END AS bicarbonate,
        CASE WHEN albumin_at >= since THEN albumin END AS albumin,
        least(
            CASE WHEN sodium_at >= since THEN sodium_at ELSE measured_at END,
            CASE WHEN chloride_at >= since THEN chloride_at ELSE measured_at END,
            CASE WHEN bicarbonate_at >= since THEN bicarbonate_at ELSE measured_at END,
            CASE WHEN albumin_at >= since THEN albumin_at ELSE measured_at END
        ) AS oldest_input_at
    FROM observed
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

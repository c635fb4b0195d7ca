-- title: MELD, MELD-Na and MELD 3.0
-- description: Model for End-stage Liver Disease at each time at which one of its laboratory inputs was observed, in
--   three variants, each null unless all its inputs are known. Inputs look back 7 days. Two dialysis procedures within
--   7 days, or one continuous (24 hours of CVVHD), put creatinine at its upper limit, measured or not; a warehouse
--   without procedures has none.
-- grain: patient_id, measured_at
-- source: OPTN Policy 9, 2016 (MELD-Na); Kim, Gastroenterology 2021;161:1887 (MELD 3.0)
-- column measured_at: when one of the inputs was observed
-- column oldest_input_at: time of the oldest input used
-- column bilirubin: total bilirubin, mg/dL
-- column inr: international normalised ratio
-- column creatinine: creatinine, mg/dL, as observed
-- column sodium: sodium, mmol/L
-- column albumin: albumin, g/dL
-- column age_years: age in years at measured_at; 90 stands for 90 and over
-- column sex: administrative sex of the patient
-- column on_dialysis: whether two dialysis procedures, or a continuous one, fell in the 7 days
-- column n_missing: inputs without a value, of six: bilirubin, INR, creatinine (not on dialysis), sodium, albumin, sex
-- column meld_i: MELD without sodium, before rounding; values below 1.0 count as 1.0, creatinine above 4.0 as 4.0
-- column meld_3: MELD 3.0 before rounding; creatinine above 3.0 counts as 3.0, albumin within 1.5 to 3.5
-- column variant: definitions and look-back
-- column meld: MELD without sodium, whole number, 6 to 40
-- column meld_na: MELD with sodium (125 to 137) where MELD is above 11, whole number, 6 to 40
-- column meld_3_score: MELD 3.0, whole number, 6 to 40

-- Not cut into concept views: nothing else reads one of its steps.
WITH dialysis AS (
    SELECT
        patient_id,
        performed_at AS measured_at,
        max(CASE WHEN procedure_group = 'continuous_dialysis' THEN 2 ELSE 1 END) AS sessions
    FROM grouped_procedures
    WHERE procedure_group IN ('dialysis', 'continuous_dialysis') AND performed_at IS NOT NULL
    GROUP BY patient_id, performed_at
),

events AS (
    SELECT
        patient_id,
        measured_at,
        bilirubin_total_at,
        inr_at,
        creatinine_at,
        sodium_at,
        albumin_at,
        bilirubin_total,
        inr,
        creatinine,
        sodium,
        albumin,
        age_years,
        0 AS sessions
    FROM latest_labs
    WHERE measured_at IN (bilirubin_total_at, inr_at, creatinine_at, sodium_at, albumin_at)
    UNION ALL
    SELECT
        patient_id,
        measured_at,
        NULL AS bilirubin_total_at,
        NULL AS inr_at,
        NULL AS creatinine_at,
        NULL AS sodium_at,
        NULL AS albumin_at,
        NULL AS bilirubin_total,
        NULL AS inr,
        NULL AS creatinine,
        NULL AS sodium,
        NULL AS albumin,
        NULL AS age_years,
        sessions
    FROM dialysis
),

totals AS (
    SELECT
        *,
        measured_at - INTERVAL '7' DAY AS since,
        sum(sessions) OVER week AS n_dialysis
    FROM events
    WINDOW week AS (
        PARTITION BY patient_id ORDER BY measured_at
        RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
    )
),

inputs AS (
    SELECT
        patient_id,
        measured_at,
        age_years,
        CASE WHEN bilirubin_total_at >= since THEN bilirubin_total END AS bilirubin,
        CASE WHEN inr_at >= since THEN inr END AS inr,
        CASE WHEN creatinine_at >= since THEN creatinine END AS creatinine,
        CASE WHEN sodium_at >= since THEN sodium END AS sodium,
        CASE WHEN albumin_at >= since THEN albumin END AS albumin,
        n_dialysis >= 2 AS on_dialysis,
        least(
            CASE WHEN bilirubin_total_at >= since THEN bilirubin_total_at ELSE measured_at END,
            CASE WHEN inr_at >= since THEN inr_at ELSE measured_at END,
            CASE WHEN creatinine_at >= since THEN creatinine_at ELSE measured_at END,
            CASE WHEN sodium_at >= since THEN sodium_at ELSE measured_at END,
            CASE WHEN albumin_at >= since THEN albumin_at ELSE measured_at END
        ) AS oldest_input_at
    FROM totals
    WHERE sessions = 0
),

bounded AS (
    SELECT
        inputs.*,
        patients.sex,
        CASE patients.sex WHEN 'female' THEN 1 WHEN 'male' THEN 0 END AS female,
        CASE
            WHEN inputs.bilirubin > 1 THEN ln(inputs.bilirubin)
            WHEN inputs.bilirubin IS NOT NULL THEN 0
        END AS ln_bili,
        CASE WHEN inputs.inr > 1 THEN ln(inputs.inr) WHEN inputs.inr IS NOT NULL THEN 0 END AS ln_inr,
        CASE
            WHEN inputs.on_dialysis OR inputs.creatinine > 4 THEN ln(4)
            WHEN inputs.creatinine > 1 THEN ln(inputs.creatinine)
            WHEN inputs.creatinine IS NOT NULL THEN 0
        END AS ln_creat_4,
        CASE
            WHEN inputs.on_dialysis OR inputs.creatinine > 3 THEN ln(3)
            WHEN inputs.creatinine > 1 THEN ln(inputs.creatinine)
            WHEN inputs.creatinine IS NOT NULL THEN 0
        END AS ln_creat_3,
        137 - CASE
            WHEN inputs.sodium < 125 THEN 125
            WHEN inputs.sodium > 137 THEN 137
            ELSE inputs.sodium
        END AS sodium_gap,
        3.5 - CASE
            WHEN inputs.albumin < 1.5 THEN 1.5
            WHEN inputs.albumin > 3.5 THEN 3.5
            ELSE inputs.albumin
        END AS albumin_gap
    FROM inputs
    LEFT JOIN patients_current AS patients ON inputs.patient_id = patients.patient_id
),

modelled AS (
    SELECT
        *,
        9.57 * ln_creat_4 + 3.78 * ln_bili + 11.2 * ln_inr + 6.43 AS meld_i,
        1.33 * female + 4.56 * ln_bili + 0.82 * sodium_gap - 0.24 * sodium_gap * ln_bili + 9.09 * ln_inr
        + 11.14 * ln_creat_3 + 1.85 * albumin_gap - 1.83 * albumin_gap * ln_creat_3 + 6 AS meld_3
    FROM bounded
),

rounded AS (
    SELECT
        *,
        CASE WHEN meld_i > 40 THEN 40 WHEN meld_i < 6 THEN 6 ELSE round(meld_i) END AS meld,
        CASE WHEN meld_3 > 40 THEN 40 WHEN meld_3 < 6 THEN 6 ELSE round(meld_3) END AS meld_3_score
    FROM modelled
),

-- The sodium term applies to the rounded MELD, and only above 11; below, sodium is not needed.
with_sodium AS (
    SELECT
        *,
        CASE
            WHEN meld <= 11 THEN meld
            ELSE round(meld + 1.32 * sodium_gap - 0.033 * meld * sodium_gap)
        END AS meld_sodium
    FROM rounded
)

SELECT
    patient_id,
    measured_at,
    oldest_input_at,
    bilirubin,
    inr,
    creatinine,
    sodium,
    albumin,
    age_years,
    sex,
    on_dialysis,
    meld_i,
    meld_3,
    'MELD-Na OPTN 2016, MELD 3.0 2021; look-back 7 days' AS variant,
    meld::INT AS meld,
    meld_3_score::INT AS meld_3_score,
    CASE WHEN meld_sodium > 40 THEN 40 ELSE meld_sodium END::INT AS meld_na,
    (bilirubin IS NULL)::INT + (inr IS NULL)::INT + (creatinine IS NULL AND NOT on_dialysis)::INT
    + (sodium IS NULL)::INT + (albumin IS NULL)::INT + (female IS NULL)::INT AS n_missing
FROM with_sodium

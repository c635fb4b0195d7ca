-- title: AHA PREVENT, base model
-- description: 10-year risk of cardiovascular disease, of its atherosclerotic part and of heart failure per patient,
--   base model of 2023 without race, from the latest inputs of the past five years. Each risk is null unless its own
--   inputs are known and within the range of the model: age 30 to 79, systolic pressure 90 to 200, eGFR 15 to 150, and
--   for heart failure a body mass index of 18.5 to below 40, for the two others total cholesterol 130 to 320 and HDL 20
--   to 100. All are null with prior_ascvd or prior_heart_failure: the model foretells a first event.
-- grain: patient_id
-- source: Khan, Circulation 2024;149:430, supplementary table S12
-- column prior_ascvd: 1 with a diagnosis of coronary disease, stroke, transient ischemic attack or peripheral artery
--   disease
-- column prior_heart_failure: 1 with a diagnosis of heart failure
-- column in_range_cvd: whether those inputs of cvd_10y and ascvd_10y that are known lie in the range of the model
-- column in_range_heart_failure: the same of heart_failure_10y
-- column n_missing: inputs without a value, of eight: age, sex, cholesterol, HDL, systolic pressure, eGFR, body mass
--   index, smoking
-- column cvd_10y: risk of cardiovascular disease within 10 years, 0 to 1
-- column ascvd_10y: risk of atherosclerotic cardiovascular disease
-- column heart_failure_10y: risk of heart failure
-- column variant: model and look-back
WITH checked AS (
    SELECT
        *,
        coalesce(age_years BETWEEN 30 AND 79, TRUE)
        AND coalesce(systolic_bp BETWEEN 90 AND 200, TRUE)
        AND coalesce(egfr BETWEEN 15 AND 150, TRUE) AS in_range,
        coalesce(cholesterol_total BETWEEN 130 AND 320, TRUE)
        AND coalesce(hdl BETWEEN 20 AND 100, TRUE) AS lipids_in_range,
        coalesce(bmi >= 18.5 AND bmi < 40, TRUE) AS bmi_in_range,
        (age_years IS NULL)::INT + (coalesce(sex, '') NOT IN ('female', 'male'))::INT
        + (cholesterol_total IS NULL)::INT + (hdl IS NULL)::INT + (systolic_bp IS NULL)::INT + (egfr IS NULL)::INT
        + (bmi IS NULL)::INT + (smoker IS NULL)::INT AS n_missing
    FROM cardiovascular_inputs
),

-- Splines with a knot at a pressure of 110, an eGFR of 60 and a body mass index of 30; lipids in mmol/L.
terms AS (
    SELECT
        patient_id,
        sex,
        (age_years - 55) / 10.0 AS age,
        (cholesterol_total - hdl) * 0.02586 - 3.5 AS non_hdl,
        (hdl * 0.02586 - 1.3) / 0.3 AS hdl,
        CASE WHEN systolic_bp < 110 THEN (systolic_bp - 110) / 20.0 WHEN systolic_bp >= 110 THEN 0 END AS sbp_low,
        CASE WHEN systolic_bp < 110 THEN -1.0 WHEN systolic_bp >= 110 THEN (systolic_bp - 130) / 20.0 END AS sbp_high,
        CASE WHEN egfr < 60 THEN (egfr - 60) / -15.0 WHEN egfr >= 60 THEN 0 END AS egfr_low,
        CASE WHEN egfr < 60 THEN 2.0 WHEN egfr >= 60 THEN (egfr - 90) / -15.0 END AS egfr_high,
        CASE WHEN bmi < 30 THEN (bmi - 25) / 5.0 WHEN bmi >= 30 THEN 1.0 END AS bmi_low,
        CASE WHEN bmi < 30 THEN 0 WHEN bmi >= 30 THEN (bmi - 30) / 5.0 END AS bmi_high,
        diabetes,
        smoker,
        treated,
        statin,
        lipids_in_range,
        bmi_in_range
    FROM checked
    WHERE in_range AND coalesce(prior_ascvd, 0) = 0 AND coalesce(prior_heart_failure, 0) = 0
),

-- A term that the model of heart failure lacks (lipids), or the two others (body mass index), may be unknown there.
sums AS (
    SELECT
        terms.patient_id,
        c.outcome,
        c.constant_coefficient
        + c.age_coefficient * terms.age
        + c.sbp_low_coefficient * terms.sbp_low
        + c.sbp_high_coefficient * terms.sbp_high
        + c.diabetes_coefficient * terms.diabetes
        + c.smoker_coefficient * terms.smoker
        + c.egfr_low_coefficient * terms.egfr_low
        + c.egfr_high_coefficient * terms.egfr_high
        + c.treated_coefficient * terms.treated
        + c.treated_sbp_high_coefficient * terms.treated * terms.sbp_high
        + c.age_sbp_high_coefficient * terms.age * terms.sbp_high
        + c.age_diabetes_coefficient * terms.age * terms.diabetes
        + c.age_smoker_coefficient * terms.age * terms.smoker
        + c.age_egfr_low_coefficient * terms.age * terms.egfr_low
        + CASE
            WHEN c.outcome = 'heart_failure'
                THEN
                    c.bmi_low_coefficient * terms.bmi_low
                    + c.bmi_high_coefficient * terms.bmi_high
                    + c.age_bmi_high_coefficient * terms.age * terms.bmi_high
            ELSE
                c.non_hdl_coefficient * terms.non_hdl
                + c.hdl_coefficient * terms.hdl
                + c.statin_coefficient * terms.statin
                + c.statin_non_hdl_coefficient * terms.statin * terms.non_hdl
                + c.age_non_hdl_coefficient * terms.age * terms.non_hdl
                + c.age_hdl_coefficient * terms.age * terms.hdl
        END AS log_odds
    FROM terms
    INNER JOIN codes.prevent_coefficients AS c ON terms.sex = c.sex
    WHERE CASE WHEN c.outcome = 'heart_failure' THEN terms.bmi_in_range ELSE terms.lipids_in_range END
),

risks AS (
    SELECT
        patient_id,
        max(CASE WHEN outcome = 'cvd' THEN 1 / (1 + exp(-log_odds)) END) AS cvd_10y,
        max(CASE WHEN outcome = 'ascvd' THEN 1 / (1 + exp(-log_odds)) END) AS ascvd_10y,
        max(CASE WHEN outcome = 'heart_failure' THEN 1 / (1 + exp(-log_odds)) END) AS heart_failure_10y
    FROM sums
    GROUP BY patient_id
)

SELECT
    checked.patient_id,
    checked.as_of,
    checked.oldest_input_at,
    checked.age_years,
    checked.sex,
    checked.cholesterol_total,
    checked.hdl,
    checked.systolic_bp,
    checked.egfr,
    checked.bmi,
    checked.treated,
    checked.statin,
    checked.diabetes,
    checked.smoker,
    checked.prior_ascvd,
    checked.prior_heart_failure,
    checked.n_missing,
    risks.cvd_10y,
    risks.ascvd_10y,
    risks.heart_failure_10y,
    'PREVENT 2023 base; look-back 5 years' AS variant,
    checked.in_range AND checked.lipids_in_range AS in_range_cvd,
    checked.in_range AND checked.bmi_in_range AS in_range_heart_failure
FROM checked
LEFT JOIN risks ON checked.patient_id = risks.patient_id

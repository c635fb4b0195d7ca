-- title: ASCVD risk, pooled cohort equations
-- description: 10-year risk of a first atherosclerotic event per patient, 2013 pooled cohort equations, from the latest
--   inputs of the past five years. Null unless all inputs are known and within the range of the equations: age 40 to
--   79, total cholesterol 130 to 320, HDL 20 to 100, systolic pressure 90 to 200; null, too, with prior_ascvd, for
--   the equations foretell a first event. Patients who are neither white nor
--   black take the equations for whites, as the guideline has it.
-- grain: patient_id
-- source: Goff, Circulation 2014;129(25 Suppl 2):S49
-- column equation: equation used: white or black
-- column prior_ascvd: 1 with a diagnosis of coronary disease, stroke, transient ischemic attack or peripheral artery
--   disease
-- column in_range: whether age and measurements lie in the range of the equations
-- column n_missing: inputs without a value, of seven: age, sex, race, cholesterol, HDL, systolic pressure, smoking
-- column individual_sum: sum of coefficients times values
-- column risk_10y: risk within 10 years, 0 to 1
-- column variant: equations and look-back
-- column band: low below 5 %, borderline below 7.5 %, intermediate below 20 %, high from 20 %
WITH inputs AS (
    SELECT
        inputs.*,
        races.equation,
        inputs.age_years BETWEEN 40 AND 79
        AND inputs.cholesterol_total BETWEEN 130 AND 320
        AND inputs.hdl BETWEEN 20 AND 100
        AND inputs.systolic_bp BETWEEN 90 AND 200 AS in_range,
        (inputs.age_years IS NULL)::INT + (coalesce(inputs.sex, '') NOT IN ('female', 'male'))::INT
        + (races.equation IS NULL)::INT + (inputs.cholesterol_total IS NULL)::INT + (inputs.hdl IS NULL)::INT
        + (inputs.systolic_bp IS NULL)::INT + (inputs.smoker IS NULL)::INT AS n_missing
    FROM cardiovascular_inputs AS inputs
    LEFT JOIN codes.pce_races AS races ON inputs.race = races.race
),

logged AS (
    SELECT
        patient_id,
        equation,
        sex,
        smoker,
        diabetes,
        treated,
        ln(age_years) AS ln_age,
        ln(cholesterol_total) AS ln_cholesterol,
        ln(hdl) AS ln_hdl,
        ln(systolic_bp) AS ln_sbp
    FROM inputs
    WHERE in_range AND n_missing = 0 AND coalesce(prior_ascvd, 0) = 0
),

sums AS (
    SELECT
        logged.patient_id,
        c.mean_coefficient,
        c.baseline_coefficient,
        c.ln_age_coefficient * logged.ln_age
        + c.ln_age_squared_coefficient * logged.ln_age * logged.ln_age
        + c.ln_cholesterol_coefficient * logged.ln_cholesterol
        + c.ln_age_ln_cholesterol_coefficient * logged.ln_age * logged.ln_cholesterol
        + c.ln_hdl_coefficient * logged.ln_hdl
        + c.ln_age_ln_hdl_coefficient * logged.ln_age * logged.ln_hdl
        + CASE
            WHEN logged.treated = 1
                THEN
                    c.ln_treated_sbp_coefficient * logged.ln_sbp
                    + c.ln_age_ln_treated_sbp_coefficient * logged.ln_age * logged.ln_sbp
            ELSE
                c.ln_untreated_sbp_coefficient * logged.ln_sbp
                + c.ln_age_ln_untreated_sbp_coefficient * logged.ln_age * logged.ln_sbp
        END
        + c.smoker_coefficient * logged.smoker
        + c.ln_age_smoker_coefficient * logged.ln_age * logged.smoker
        + c.diabetes_coefficient * logged.diabetes AS individual_sum
    FROM logged
    INNER JOIN codes.pce_coefficients AS c ON logged.sex = c.sex AND logged.equation = c.equation
),

risks AS (
    SELECT
        patient_id,
        individual_sum,
        1 - power(baseline_coefficient, exp(individual_sum - mean_coefficient)) AS risk_10y
    FROM sums
)

SELECT
    inputs.patient_id,
    inputs.as_of,
    inputs.oldest_input_at,
    inputs.age_years,
    inputs.sex,
    inputs.race,
    inputs.equation,
    inputs.cholesterol_total,
    inputs.hdl,
    inputs.systolic_bp,
    inputs.treated,
    inputs.diabetes,
    inputs.smoker,
    inputs.prior_ascvd,
    inputs.in_range,
    inputs.n_missing,
    risks.individual_sum,
    risks.risk_10y,
    'PCE 2013; look-back 5 years' AS variant,
    CASE
        WHEN risks.risk_10y < 0.05 THEN 'low'
        WHEN risks.risk_10y < 0.075 THEN 'borderline'
        WHEN risks.risk_10y < 0.2 THEN 'intermediate'
        WHEN risks.risk_10y >= 0.2 THEN 'high'
    END AS band
FROM inputs
LEFT JOIN risks ON inputs.patient_id = risks.patient_id

-- title: eGFR, CKD-EPI 2021
-- description: Estimated glomerular filtration rate for each creatinine result of an adult, without a term for race,
--   and its stage; null below 18 years, and where creatinine, age or sex is not known. Age 90 stands for 90 and over,
--   so that from 90 the estimate is an upper bound. A stage is not a diagnosis: chronic kidney disease needs three
--   months (cohort_ckd).
-- grain: record_id, ordinal
-- source: Inker, N Engl J Med 2021;385:1737; stages KDIGO 2012
-- column age_years: age in years; 90 stands for 90 and over
-- column creatinine: creatinine, mg/dL
-- column observed_at: when the creatinine was observed
-- column sex: administrative sex of the patient
-- column variant: equation used
-- column n_missing: inputs without a value, of three: creatinine, age, sex (female or male)
-- column egfr: estimated rate, mL/min/1.73 m2
-- column ckd_stage: G1 from 90, G2 from 60, G3a from 45, G3b from 30, G4 from 15, G5 below 15
WITH inputs AS (
    SELECT
        labs.record_id,
        labs.ordinal,
        labs.patient_id,
        labs.encounter_id,
        labs.observed_at,
        labs.age_years,
        patients.sex,
        CASE WHEN labs.comparator IS NULL AND labs.value > 0 THEN labs.value END AS creatinine,
        CASE patients.sex WHEN 'female' THEN 0.7 WHEN 'male' THEN 0.9 END AS kappa,
        CASE patients.sex WHEN 'female' THEN -0.241 WHEN 'male' THEN -0.302 END AS alpha,
        CASE patients.sex WHEN 'female' THEN 1.012 WHEN 'male' THEN 1.0 END AS sex_factor
    FROM lab_results AS labs
    LEFT JOIN patients_current AS patients ON labs.patient_id = patients.patient_id
    WHERE labs.analyte = 'creatinine' AND coalesce(labs.plausible, TRUE)
),

estimates AS (
    SELECT
        *,
        -- least and greatest pass over nulls in some engines, so the inputs are asked for first.
        CASE
            WHEN age_years >= 18 AND creatinine IS NOT NULL AND kappa IS NOT NULL
                THEN
                    142.0 * power(least(creatinine / kappa, 1.0), alpha)
                    * power(greatest(creatinine / kappa, 1.0), -1.2) * power(0.9938, age_years) * sex_factor
        END AS egfr,
        (creatinine IS NULL)::INT + (age_years IS NULL)::INT + (kappa IS NULL)::INT AS n_missing
    FROM inputs
)

SELECT
    record_id,
    ordinal,
    patient_id,
    encounter_id,
    observed_at,
    creatinine,
    age_years,
    sex,
    n_missing,
    egfr,
    'CKD-EPI 2021' AS variant,
    CASE
        WHEN egfr >= 90 THEN 'G1'
        WHEN egfr >= 60 THEN 'G2'
        WHEN egfr >= 45 THEN 'G3a'
        WHEN egfr >= 30 THEN 'G3b'
        WHEN egfr >= 15 THEN 'G4'
        WHEN egfr < 15 THEN 'G5'
    END AS ckd_stage
FROM estimates

-- title: Body mass index
-- description: Body mass index at each weight, with the patient's latest height: of the past year from 18 years of age,
--   of the past 30 days below, where height grows. Null unless both are known. The bands are for adults.
-- grain: patient_id, encounter_id, measured_at
-- source: WHO Technical Report Series 894, 2000
-- column measured_at: when one of the inputs was measured
-- column weight_kg: weight, kg
-- column height_cm: latest height, cm
-- column height_at: when the height was measured
-- column age_years: age in years at the weight; 90 stands for 90 and over
-- column variant: formula and look-back
-- column bmi: weight / (height in m) squared
-- column n_missing: inputs without a value, of two
-- column band: underweight below 18.5, normal, overweight from 25, obese from 30; null below 18 years
WITH side_by_side AS (
    SELECT
        patient_id,
        encounter_id,
        observed_at AS measured_at,
        max(CASE WHEN analyte = 'weight_kg' THEN value END) AS weight_kg,
        max(CASE WHEN analyte = 'height_cm' THEN value END) AS height_cm,
        max(age_years) AS age_years
    FROM risk_factor_values
    WHERE analyte IN ('weight_kg', 'height_cm')
    GROUP BY patient_id, encounter_id, observed_at
),

measured_together AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        weight_kg,
        age_years,
        -- Two visits may measure at one time: the higher, whichever row comes first.
        max(height_cm) OVER (PARTITION BY patient_id, measured_at) AS height_cm
    FROM side_by_side
),

measurements AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        weight_kg,
        age_years,
        last_value(height_cm IGNORE NULLS) OVER so_far AS height_cm,
        max(CASE WHEN height_cm IS NOT NULL THEN measured_at END) OVER so_far AS height_at
    FROM measured_together
    WINDOW so_far AS (
        PARTITION BY patient_id ORDER BY measured_at
        RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),

inputs AS (
    SELECT
        *,
        height_at >= measured_at - INTERVAL '365' DAY
        AND (age_years >= 18 OR height_at >= measured_at - INTERVAL '30' DAY) AS height_holds
    FROM measurements
    WHERE weight_kg > 0
),

indices AS (
    SELECT
        patient_id,
        encounter_id,
        measured_at,
        weight_kg,
        age_years,
        CASE WHEN height_holds THEN height_cm END AS height_cm,
        CASE WHEN height_holds THEN height_at END AS height_at,
        CASE WHEN height_holds AND height_cm > 0 THEN weight_kg / power(height_cm / 100.0, 2) END AS bmi
    FROM inputs
)

SELECT
    patient_id,
    encounter_id,
    measured_at,
    weight_kg,
    height_cm,
    height_at,
    age_years,
    bmi,
    'Quetelet; height of the past year, below 18 of 30 days' AS variant,
    (height_cm IS NULL)::INT AS n_missing,
    CASE
        WHEN age_years < 18 OR age_years IS NULL THEN NULL
        WHEN bmi < 18.5 THEN 'underweight'
        WHEN bmi < 25 THEN 'normal'
        WHEN bmi < 30 THEN 'overweight'
        WHEN bmi >= 30 THEN 'obese'
    END AS band
FROM indices

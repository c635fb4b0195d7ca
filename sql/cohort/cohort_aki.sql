-- title: Cohort: acute kidney injury by creatinine
-- description: Visits in which creatinine rose by 0.3 mg/dL within 48 hours, or to 1.5 times its lowest of the 7 days
--   before (KDIGO), with the highest stage. Urine output is not looked at. Results without a visit number make one row
--   per patient, with encounter_id null.
-- grain: patient_id, encounter_id
-- source: KDIGO Clinical Practice Guideline for Acute Kidney Injury, Kidney Int Suppl 2012;2:1
-- column index_at: first result that meets a criterion
-- column baseline: lowest creatinine of the 7 days up to that result, mg/dL
-- column baseline_creatinine_48h: lowest creatinine of the 48 hours up to that result, mg/dL
-- column criterion: absolute (0.3 mg/dL in 48 hours), relative (1.5 times in 7 days) or both, of that result
-- column peak_creatinine: highest creatinine among the results of an episode, mg/dL
-- column peak_at: first time of the highest stage
-- column stage: 1, 2 (2.0 times) or 3 (3.0 times, or 4.0 mg/dL); the highest reached
-- column age_years: age in years at the index; 90 stands for 90 and over
-- column n_results: results that meet a criterion, or are 1.5 times the baseline of the episode or more

-- The baseline of the episode is the lowest value of the 7 days up to its onset: from then on (for 90 days of the
-- visit) results are staged against it, not against a window that moves along with the rise.
WITH creatinines AS (
    SELECT
        patient_id,
        encounter_id,
        observed_at,
        age_years,
        value,
        min(value) OVER two_days AS lowest_48h,
        min(value) OVER week AS lowest_7d
    FROM lab_results
    WHERE
        analyte = 'creatinine'
        AND value > 0
        AND comparator IS NULL
        AND coalesce(plausible, TRUE)
        AND observed_at IS NOT NULL
    WINDOW
        two_days AS (
            PARTITION BY patient_id ORDER BY observed_at
            RANGE BETWEEN INTERVAL '48' HOUR PRECEDING AND CURRENT ROW
        ),
        week AS (
            PARTITION BY patient_id ORDER BY observed_at
            RANGE BETWEEN INTERVAL '7' DAY PRECEDING AND CURRENT ROW
        )
),

-- 1.3 - 1.0 is a hair below 0.3 in binary numbers, so a rise is compared in thousandths.
staged_results AS (
    SELECT
        *,
        round((value - lowest_48h) * 1000) >= 300 AS is_absolute,
        round(value / lowest_7d * 1000) >= 1500 AS is_relative
    FROM creatinines
),

episodes AS (
    SELECT
        *,
        min(CASE WHEN is_absolute OR is_relative THEN lowest_7d END) OVER (
            PARTITION BY patient_id, encounter_id ORDER BY observed_at
            RANGE BETWEEN INTERVAL '90' DAY PRECEDING AND CURRENT ROW
        ) AS episode_baseline
    FROM staged_results
),

meeting AS (
    SELECT
        *,
        CASE
            WHEN value >= 4 OR round(value / episode_baseline * 1000) >= 3000 THEN 3
            WHEN round(value / episode_baseline * 1000) >= 2000 THEN 2
            ELSE 1
        END AS stage
    FROM episodes
    WHERE is_absolute OR is_relative OR round(value / episode_baseline * 1000) >= 1500
),

ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY patient_id, encounter_id ORDER BY observed_at ASC, value DESC) AS nth,
        row_number() OVER (PARTITION BY patient_id, encounter_id ORDER BY stage DESC, observed_at ASC) AS nth_worst
    FROM meeting
)

SELECT
    patient_id,
    encounter_id,
    min(observed_at) AS index_at,
    max(CASE WHEN nth = 1 THEN lowest_7d END) AS baseline,
    max(CASE WHEN nth = 1 THEN lowest_48h END) AS baseline_creatinine_48h,
    max(
        CASE
            WHEN nth <> 1 THEN NULL
            WHEN is_absolute AND is_relative THEN 'both'
            WHEN is_absolute THEN 'absolute'
            ELSE 'relative'
        END
    ) AS criterion,
    max(value) AS peak_creatinine,
    max(CASE WHEN nth_worst = 1 THEN observed_at END) AS peak_at,
    max(stage) AS stage,
    max(CASE WHEN nth = 1 THEN age_years END) AS age_years,
    count(*) AS n_results
FROM ranked
GROUP BY patient_id, encounter_id

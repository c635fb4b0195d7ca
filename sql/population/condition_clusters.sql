-- title: Condition clusters
-- description: New cases of each condition by state, age group and week, beside the eight weeks before: an early signal
--   of an outbreak. A patient counts once a week; a week without a case counts as zero in the baseline.
-- grain: condition, state, age_group, week
-- source: moving mean and standard deviation, as in the C2 method of the CDC's EARS, over eight weeks
-- requires: calendar
-- cells: n_patients
-- column age_group: 0-17, 18-64, 65+ or unknown, at the diagnosis
-- column week: Monday of the week
-- column n_patients: distinct patients with the condition recorded in that week
-- column baseline_mean: mean of the eight weeks before
-- column baseline_deviation: standard deviation of the eight weeks before
-- column z_score: deviations above the mean; a deviation below one half counts as one half
-- column is_signal: at least three patients, and a z score of 3 or more, after eight weeks of data
WITH weekly AS (
    SELECT
        g.condition,
        p.state,
        CASE
            WHEN g.age_years < 18 THEN '0-17'
            WHEN g.age_years < 65 THEN '18-64'
            WHEN g.age_years >= 65 THEN '65+'
            ELSE 'unknown'
        END AS age_group,
        cast(date_trunc('week', g.recorded_at) AS DATE) AS week,
        count(DISTINCT g.patient_id) AS n_patients
    FROM patient_condition_groups AS g
    LEFT JOIN patients_current AS p ON g.patient_id = p.patient_id
    WHERE g.recorded_at IS NOT NULL
    GROUP BY
        g.condition,
        p.state,
        CASE
            WHEN g.age_years < 18 THEN '0-17'
            WHEN g.age_years < 65 THEN '18-64'
            WHEN g.age_years >= 65 THEN '65+'
            ELSE 'unknown'
        END,
        cast(date_trunc('week', g.recorded_at) AS DATE)
),

baselines AS (
    SELECT
        condition,
        state,
        age_group,
        week,
        n_patients,
        coalesce(sum(n_patients) OVER eight_weeks, 0) / 8.0 AS baseline_mean,
        coalesce(sum(n_patients * n_patients) OVER eight_weeks, 0) / 8.0 AS mean_square,
        min(week) OVER () AS first_week
    FROM weekly
    WINDOW eight_weeks AS (
        PARTITION BY condition, state, age_group ORDER BY week
        RANGE BETWEEN INTERVAL '56' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING
    )
),

measurements AS (
    SELECT
        *,
        sqrt(greatest(mean_square - baseline_mean * baseline_mean, 0)) AS baseline_deviation
    FROM baselines
)

SELECT
    condition,
    state,
    age_group,
    week,
    n_patients,
    baseline_mean,
    baseline_deviation,
    (n_patients - baseline_mean) / greatest(baseline_deviation, 0.5) AS z_score,
    n_patients >= 3
    AND (n_patients - baseline_mean) / greatest(baseline_deviation, 0.5) >= 3
    AND week >= first_week + INTERVAL '56' DAY AS is_signal
FROM measurements

-- title: Length of stay
-- description: How long finished visits lasted, by class of visit, service and the unit where they ended.
-- grain: class, service, unit
-- cells: n_patients (n_visits, mean_days, median_days, p90_days, total_days, mean_age)
-- column n_visits: finished visits with both times
-- column n_patients: distinct patients
-- column mean_days: mean, in days with their fraction
-- column median_days: half of the visits were shorter
-- column p90_days: nine of ten were shorter
-- column longest_days: the longest
-- column total_days: bed days
-- column mean_age: mean age at admission

-- Sums of decimals, since the last bit of a sum of doubles depends on the order in which rows come.
SELECT
    class,
    service,
    unit,
    count(*) AS n_visits,
    count(DISTINCT patient_id) AS n_patients,
    avg(length_of_stay_days::DECIMAL(38, 9))::DOUBLE AS mean_days,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY length_of_stay_days) AS median_days,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY length_of_stay_days) AS p90_days,
    max(length_of_stay_days) AS longest_days,
    sum(length_of_stay_days::DECIMAL(38, 9))::DOUBLE AS total_days,
    avg(age_years) AS mean_age
FROM encounters_current
WHERE status = 'finished' AND length_of_stay_days >= 0
GROUP BY class, service, unit

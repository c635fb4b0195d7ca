-- title: Age groups
-- description: Living and deceased patients by age at their latest record.
-- grain: age_group
-- cells: n_patients (mean_age, share); n_female; n_90_and_over
-- column age_group: 0-17, 18-64, 65+ or unknown
-- column n_patients: distinct patients
-- column n_female: women and girls among them
-- column n_male: men and boys among them
-- column n_90_and_over: patients of 90 and over, within 65+
-- column mean_age: mean age in years, with 90 for 90 and over
-- column share: percent of all patients
WITH grouped AS (
    SELECT
        CASE
            WHEN age_years < 18 THEN '0-17'
            WHEN age_years < 65 THEN '18-64'
            WHEN age_years >= 65 THEN '65+'
            ELSE 'unknown'
        END AS age_group,
        sex,
        age_years
    FROM patients_current
)

SELECT
    age_group,
    count(*) AS n_patients,
    count(CASE WHEN sex = 'female' THEN 1 END) AS n_female,
    count(CASE WHEN sex = 'male' THEN 1 END) AS n_male,
    count(CASE WHEN age_years >= 90 THEN 1 END) AS n_90_and_over,
    avg(age_years) AS mean_age,
    100.0 * count(*) / sum(count(*)) OVER () AS share
FROM grouped
GROUP BY age_group

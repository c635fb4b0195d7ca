-- title: Prevalence of chronic conditions
-- description: Patients with each chronic condition among all patients with any record. A diagnosis counts for every
--   condition it belongs to.
-- grain: condition
-- source: codes.conditions, codes.condition_names
-- cells: n_patients (label, n_population, prevalence, mean_age); n_female
-- column label: the name to show
-- column n_patients: distinct patients with the condition
-- column n_population: all patients
-- column prevalence: percent of all patients
-- column n_female: women and girls among those with it
-- column mean_age: mean age at the latest record of those with it
WITH affected AS (
    SELECT DISTINCT
        g.patient_id,
        g.condition
    FROM patient_condition_groups AS g
    INNER JOIN codes.condition_names AS n ON g.condition = n.condition
    WHERE n.chronic = 'yes'
),

population AS (
    SELECT count(*) AS n_population
    FROM patients_current
)

SELECT
    a.condition,
    n.label,
    count(*) AS n_patients,
    max(q.n_population) AS n_population,
    100.0 * count(*) / nullif(max(q.n_population), 0) AS prevalence,
    count(CASE WHEN p.sex = 'female' THEN 1 END) AS n_female,
    avg(p.age_years) AS mean_age
FROM affected AS a
INNER JOIN codes.condition_names AS n ON a.condition = n.condition
LEFT JOIN patients_current AS p ON a.patient_id = p.patient_id
CROSS JOIN population AS q
GROUP BY a.condition, n.label

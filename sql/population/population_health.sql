-- title: Population health
-- description: By state: mean risk score of the population, patients, mean length of finished stays, and the parts of
--   the score (see risk_score).
-- grain: state
-- source: rules of the project: diabetes 1, systolic above 140 mmHg 1, age above 65 1, plus active medications
-- cells: n_patients; n_with_diabetes (mean_score); n_hypertensive (mean_score); n_over_65 (mean_score);
--   n_with_stays (n_stays, mean_length_of_stay_days)
-- column state: state or province of the patient; null where not known
-- column n_patients: distinct patients
-- column mean_score: mean of risk_score
-- column highest_score: highest risk_score
-- column n_with_diabetes: patients with a diagnosis of diabetes
-- column n_hypertensive: patients whose latest systolic pressure is above 140 mmHg
-- column n_over_65: patients above 65 years
-- column mean_medications: mean number of active medications
-- column n_with_stays: patients with such a visit
-- column n_stays: finished inpatient, observation and emergency visits
-- column mean_length_of_stay_days: mean length of those
WITH stays AS (
    SELECT
        patient_id,
        count(length_of_stay_days) AS n_stays,
        -- as decimals: the last bit of a sum of doubles depends on the order in which rows come
        sum(cast(length_of_stay_days AS DECIMAL(38, 9))) AS days
    FROM encounters_current
    WHERE
        status = 'finished'
        AND length_of_stay_days >= 0
        AND coalesce(class, 'inpatient') IN ('inpatient', 'observation', 'obstetrics', 'emergency')
    GROUP BY patient_id
)

SELECT
    p.state,
    count(*) AS n_patients,
    avg(s.score) AS mean_score,
    max(s.score) AS highest_score,
    count(CASE WHEN s.diabetes_point = 1 THEN 1 END) AS n_with_diabetes,
    count(CASE WHEN s.pressure_point = 1 THEN 1 END) AS n_hypertensive,
    count(CASE WHEN s.age_point = 1 THEN 1 END) AS n_over_65,
    avg(s.active_medications) AS mean_medications,
    count(CASE WHEN t.n_stays > 0 THEN 1 END) AS n_with_stays,
    cast(coalesce(sum(t.n_stays), 0) AS BIGINT) AS n_stays,
    cast(sum(t.days) AS DOUBLE) / nullif(sum(t.n_stays), 0) AS mean_length_of_stay_days
FROM patients_current AS p
INNER JOIN risk_score AS s ON p.patient_id = s.patient_id
LEFT JOIN stays AS t ON p.patient_id = t.patient_id
GROUP BY p.state

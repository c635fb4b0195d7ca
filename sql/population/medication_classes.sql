-- title: Medication classes
-- description: Patients and orders by class of drug; cancelled orders do not count.
-- grain: family, class
-- source: codes.medication_classes (ATC)
-- cells: n_patients (n_orders, n_drugs, share, mean_age); n_active_patients
-- column family: wider group, such as antihypertensive; unknown where the drug is not known
-- column n_patients: distinct patients who ever had an order
-- column n_active_patients: distinct patients on it at their latest record
-- column n_orders: orders
-- column n_drugs: distinct drugs
-- column share: percent of all patients with any medication
-- column mean_age: mean age at the start of an order
WITH listed AS (
    SELECT
        patient_id,
        coalesce(family, 'unknown') AS family,
        coalesce(class, 'unknown') AS class,
        coalesce(drug, code) AS drug,
        is_active,
        age_years
    FROM medication_list
    WHERE state <> 'cancelled'
),

treated AS (
    SELECT count(DISTINCT patient_id) AS n_treated
    FROM listed
)

SELECT
    l.family,
    l.class,
    count(DISTINCT l.patient_id) AS n_patients,
    count(DISTINCT CASE WHEN l.is_active THEN l.patient_id END) AS n_active_patients,
    count(*) AS n_orders,
    count(DISTINCT l.drug) AS n_drugs,
    100.0 * count(DISTINCT l.patient_id) / nullif(max(t.n_treated), 0) AS share,
    avg(l.age_years) AS mean_age
FROM listed AS l
CROSS JOIN treated AS t
GROUP BY l.family, l.class

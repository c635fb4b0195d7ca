-- title: Cohort: polypharmacy
-- description: Patients on five active medications or more at the latest record about them; excessive from ten. A drug
--   counts once however often it is ordered; fluids, contrast agents and vitamins do not count.
-- grain: patient_id
-- source: Masnoon, BMC Geriatr 2017;17:230 (five or more); ten or more as excessive
-- column age_years: age in years; 90 stands for 90 and over
-- column n_drugs: distinct active drugs
-- column n_classes: distinct classes of these
-- column level: polypharmacy from 5, excessive from 10
-- column n_high_risk: active drugs among anticoagulants, opioids, insulins, sulfonylureas, benzodiazepines and digoxin
-- column first_started_at: start of the earliest of the active orders
-- column last_started_at: start of the latest
-- column n_unknown: active drugs whose ingredient is not known, counted by their code
WITH active AS (
    SELECT
        patient_id,
        drug,
        class,
        family,
        coalesce(drug, code, order_id) AS drug_key,
        started_at,
        age_years
    FROM medication_list
    WHERE is_active AND coalesce(family, '') NOT IN ('fluid', 'contrast', 'vitamin')
),

totals AS (
    SELECT
        patient_id,
        count(DISTINCT drug_key) AS n_drugs,
        count(DISTINCT class) AS n_classes,
        count(
            DISTINCT CASE
                WHEN
                    family = 'anticoagulant'
                    OR class IN ('opioid', 'insulin', 'sulfonylurea', 'benzodiazepine', 'cardiac glycoside')
                    THEN drug_key
            END
        ) AS n_high_risk,
        count(DISTINCT CASE WHEN drug IS NULL THEN drug_key END) AS n_unknown,
        min(started_at) AS first_started_at,
        max(started_at) AS last_started_at,
        max(age_years) AS age_years
    FROM active
    GROUP BY patient_id
)

SELECT
    patient_id,
    n_drugs,
    n_classes,
    CASE WHEN n_drugs >= 10 THEN 'excessive' ELSE 'polypharmacy' END AS level,
    n_high_risk,
    first_started_at,
    last_started_at,
    n_unknown,
    age_years
FROM totals
WHERE n_drugs >= 5

-- title: Cohort: heart failure
-- description: Patients with a diagnosis of heart failure. Confirmed by two diagnosis days, by an inpatient diagnosis,
--   or by one with a natriuretic peptide above its rule-out limit (BNP 35, NT-proBNP 125 pg/mL) or a loop diuretic;
--   else possible.
-- grain: patient_id
-- source: after McDonagh, Eur Heart J 2021;42:3599 (limits of the peptides)
-- column index_at: time of the first diagnosis
-- column certainty: confirmed or possible
-- column n_diagnosis_days: days with a diagnosis
-- column last_diagnosis_at: time of the latest
-- column n_inpatient_days: days with a diagnosis in an inpatient visit
-- column highest_bnp: highest BNP, pg/mL
-- column highest_nt_probnp: highest NT-proBNP, pg/mL
-- column loop_diuretic: whether a loop diuretic was ever ordered
-- column age_years: least age stated with the diagnosis; 90 stands for 90 and over
WITH diagnoses AS (
    SELECT
        named.patient_id,
        min(named.recorded_at) AS index_at,
        max(named.recorded_at) AS last_diagnosis_at,
        count(DISTINCT date_trunc('day', named.recorded_at)) AS n_diagnosis_days,
        count(DISTINCT CASE WHEN visits.class = 'inpatient' THEN date_trunc('day', named.recorded_at) END)
            AS n_inpatient_days,
        min(named.age_years) AS age_years
    FROM patient_condition_groups AS named
    LEFT JOIN encounters_current AS visits
        ON named.patient_id = visits.patient_id AND named.encounter_id = visits.encounter_id
    WHERE named.condition = 'heart_failure'
    GROUP BY named.patient_id
),

peptides AS (
    SELECT
        patient_id,
        max(CASE WHEN analyte = 'bnp' THEN value END) AS highest_bnp,
        max(CASE WHEN analyte = 'nt_probnp' THEN value END) AS highest_nt_probnp
    FROM lab_results
    WHERE analyte IN ('bnp', 'nt_probnp') AND coalesce(comparator, '>') IN ('>', '>=') AND coalesce(plausible, TRUE)
    GROUP BY patient_id
),

drugs AS (
    SELECT DISTINCT patient_id
    FROM medication_list
    WHERE class = 'loop diuretic' AND state <> 'cancelled'
)

SELECT
    diagnoses.patient_id,
    diagnoses.index_at,
    CASE
        WHEN
            diagnoses.n_diagnosis_days >= 2
            OR diagnoses.n_inpatient_days >= 1
            OR peptides.highest_bnp > 35
            OR peptides.highest_nt_probnp > 125
            OR drugs.patient_id IS NOT NULL
            THEN 'confirmed'
        ELSE 'possible'
    END AS certainty,
    diagnoses.n_diagnosis_days,
    diagnoses.last_diagnosis_at,
    diagnoses.n_inpatient_days,
    peptides.highest_bnp,
    peptides.highest_nt_probnp,
    drugs.patient_id IS NOT NULL AS loop_diuretic,
    diagnoses.age_years
FROM diagnoses
LEFT JOIN peptides ON diagnoses.patient_id = peptides.patient_id
LEFT JOIN drugs ON diagnoses.patient_id = drugs.patient_id

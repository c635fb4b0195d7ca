-- title: Research data set
-- description: One row per patient with what a study asks for first: age group, sex, primary diagnosis, medication
--   classes, mean glucose and cholesterol, and how the last stay ended. n_patients says how many patients share age
--   group, sex and chapter of the diagnosis, so that rare combinations can be suppressed.
-- grain: study_id
-- column study_id: number of the patient in this data set, in an order that tells nothing of the patient
-- column age_group: 0-17, 18-64, 65+ or unknown
-- column primary_diagnosis: principal diagnosis of the latest stay with one, else the latest diagnosis; by its first
--   three characters
-- column diagnosis_chapter: chapter of ICD it belongs to
-- column medication_classes: classes of all medications that were not cancelled, in alphabetical order
-- column n_medications: distinct drugs
-- column mean_glucose: mg/dL
-- column mean_cholesterol: mg/dL
-- column discharge_disposition: of the latest finished stay (HL7 table 0112)
-- column n_patients: patients with the same age group, sex and chapter
WITH diagnoses AS (
    SELECT
        patient_id,
        code_system,
        substr(code, 1, 3) AS category
    FROM patient_conditions
    WHERE code_system IN ('icd10cm', 'icd10', 'icd9cm')
    QUALIFY row_number() OVER (
        PARTITION BY patient_id
        ORDER BY
            CASE WHEN rank = 1 THEN 0 ELSE 1 END ASC,
            CASE kind WHEN 'F' THEN 0 WHEN 'W' THEN 1 ELSE 2 END ASC,
            recorded_at DESC NULLS LAST,
            code ASC
    ) = 1
),

chapters AS (
    SELECT
        d.patient_id,
        d.category,
        c.chapter
    FROM diagnoses AS d
    LEFT JOIN codes.icd_chapters AS c
        ON
            CASE WHEN d.code_system = 'icd9cm' THEN 'icd9cm' ELSE 'icd10cm' END = c.code_system
            AND d.category BETWEEN c.first_category AND c.last_category
),

classes AS (
    SELECT DISTINCT
        patient_id,
        class
    FROM medication_list
    WHERE state <> 'cancelled' AND class IS NOT NULL
),

medicines AS (
    SELECT
        patient_id,
        string_agg(class, '; ' ORDER BY class) AS medication_classes
    FROM classes
    GROUP BY patient_id
),

drugs AS (
    SELECT
        patient_id,
        count(DISTINCT coalesce(drug, code, order_id)) AS n_medications
    FROM medication_list
    WHERE state <> 'cancelled'
    GROUP BY patient_id
),

labs AS (
    SELECT
        patient_id,
        -- as decimals: the last bit of a sum of doubles depends on the order in which rows come
        avg(CASE WHEN analyte = 'glucose' THEN value::DECIMAL(38, 9) END)::DOUBLE AS mean_glucose,
        avg(CASE WHEN analyte = 'cholesterol_total' THEN value::DECIMAL(38, 9) END)::DOUBLE AS mean_cholesterol
    FROM lab_results
    WHERE analyte IN ('glucose', 'cholesterol_total') AND plausible AND comparator IS NULL
    GROUP BY patient_id
),

discharges AS (
    SELECT
        patient_id,
        discharge_disposition
    FROM encounters_current
    WHERE status = 'finished' AND discharge_disposition IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY patient_id ORDER BY discharged_at DESC NULLS LAST, encounter_id ASC) = 1
),

joined AS (
    SELECT
        p.patient_id,
        CASE
            WHEN p.age_years < 18 THEN '0-17'
            WHEN p.age_years < 65 THEN '18-64'
            WHEN p.age_years >= 65 THEN '65+'
            ELSE 'unknown'
        END AS age_group,
        p.sex,
        c.category AS primary_diagnosis,
        c.chapter AS diagnosis_chapter,
        m.medication_classes,
        coalesce(d.n_medications, 0) AS n_medications,
        l.mean_glucose,
        l.mean_cholesterol,
        e.discharge_disposition
    FROM patients_current AS p
    LEFT JOIN chapters AS c ON p.patient_id = c.patient_id
    LEFT JOIN medicines AS m ON p.patient_id = m.patient_id
    LEFT JOIN drugs AS d ON p.patient_id = d.patient_id
    LEFT JOIN labs AS l ON p.patient_id = l.patient_id
    LEFT JOIN discharges AS e ON p.patient_id = e.patient_id
)

SELECT
    row_number() OVER (ORDER BY md5(concat('study ', patient_id))) AS study_id,
    age_group,
    sex,
    primary_diagnosis,
    diagnosis_chapter,
    medication_classes,
    n_medications,
    mean_glucose,
    mean_cholesterol,
    discharge_disposition,
    count(*) OVER (PARTITION BY age_group, sex, diagnosis_chapter) AS n_patients
FROM joined

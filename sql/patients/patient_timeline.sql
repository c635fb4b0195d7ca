-- title: Patient timeline
-- description: All that happened to a patient, in one list: visits, units, results, vital signs, diagnoses, procedures,
--   medications, allergies, vaccinations, appointments, documents and imaging, under the identity in use today. Vital
--   signs are the usual five, in one line a time; vital_signs has the others (weight, coma scale, urine).
-- grain: patient_id, happened_at, kind, record_id, detail
-- column patient_id: pseudonym of the patient
-- column happened_at: when it happened
-- column kind: admission, transfer, discharge, result, vital signs, diagnosis, procedure, medication, allergy,
--   immunization, appointment, document, imaging or death
-- column encounter_id: pseudonym of the visit; null where none is known
-- column code: code as sent; for diagnoses in capitals without dot
-- column detail: what it was, in a word: analyte, condition, drug, unit, status, modality
-- column value: number, for a result
-- column unit: unit of the value
-- column record_id: source record, where one record says it all
-- column age_years: age in years at that time; 90 stands for 90 and over

-- Not cut into concept views: it is one branch for each table that has events, and nothing else reads one of them.
WITH procedures_placed AS (
    SELECT
        p.record_id,
        p.encounter_id,
        p.code,
        p.code_system,
        p.code_display,
        p.age_years,
        coalesce(i.patient_id, p.patient_id) AS patient_id,
        p.performed_at + coalesce(i.offset_days, 0) * INTERVAL '1' DAY AS happened_at
    FROM procedures AS p
    LEFT JOIN identity_changes AS i ON p.patient_id = i.old_patient_id
    WHERE coalesce(p.action, 'A') <> 'D'
),

allergies_placed AS (
    SELECT
        a.record_id,
        a.encounter_id,
        a.code,
        a.code_system,
        a.code_display,
        a.age_years,
        coalesce(i.patient_id, a.patient_id) AS patient_id,
        coalesce(a.onset_at, a.recorded_at) + coalesce(i.offset_days, 0) * INTERVAL '1' DAY AS happened_at
    FROM allergies AS a
    LEFT JOIN identity_changes AS i ON a.patient_id = i.old_patient_id
    WHERE coalesce(a.action, 'A') <> 'D'
),

immunizations_placed AS (
    SELECT
        m.record_id,
        m.encounter_id,
        m.code,
        m.code_system,
        m.code_display,
        m.age_years,
        coalesce(i.patient_id, m.patient_id) AS patient_id,
        m.given_at + coalesce(i.offset_days, 0) * INTERVAL '1' DAY AS happened_at
    FROM immunizations AS m
    LEFT JOIN identity_changes AS i ON m.patient_id = i.old_patient_id
    WHERE coalesce(m.action, 'A') <> 'D' AND coalesce(m.status, 'CP') NOT IN ('RE', 'NA')
),

-- The latest word on each appointment.
appointments_placed AS (
    SELECT
        s.record_id,
        s.encounter_id,
        s.service_code,
        s.service_system,
        s.event,
        s.status,
        s.age_years,
        coalesce(i.patient_id, s.patient_id) AS patient_id,
        s.starts_at + coalesce(i.offset_days, 0) * INTERVAL '1' DAY AS happened_at
    FROM appointments AS s
    LEFT JOIN identity_changes AS i ON s.patient_id = i.old_patient_id
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(i.patient_id, s.patient_id), coalesce(s.appointment_id, s.record_id)
        ORDER BY s.stated_at DESC NULLS LAST, s.record_id DESC, s.ordinal DESC
    ) = 1
),

documents_placed AS (
    SELECT
        d.record_id,
        d.encounter_id,
        d.code,
        d.code_system,
        d.completion_status,
        d.age_years,
        coalesce(i.patient_id, d.patient_id) AS patient_id,
        d.written_at + coalesce(i.offset_days, 0) * INTERVAL '1' DAY AS happened_at
    FROM documents AS d
    LEFT JOIN identity_changes AS i ON d.patient_id = i.old_patient_id
    WHERE coalesce(d.event, 'T01') <> 'T11'
),

-- As in vital_signs, without what the line does not show.
measurements AS (
    SELECT
        patient_id,
        encounter_id,
        observed_at,
        analyte,
        age_years,
        CASE WHEN coalesce(plausible, TRUE) THEN value END AS value,
        CASE WHEN coalesce(second_plausible, TRUE) THEN second_value END AS second_value
    FROM measured_values
    WHERE
        analyte IN (
            'heart_rate', 'systolic_bp', 'diastolic_bp', 'blood_pressure', 'respiratory_rate', 'spo2', 'temperature'
        )
),

bedside AS (
    SELECT
        patient_id,
        encounter_id,
        observed_at AS measured_at,
        max(CASE WHEN analyte = 'heart_rate' THEN value END) AS heart_rate,
        max(CASE WHEN analyte IN ('systolic_bp', 'blood_pressure') THEN value END) AS systolic_bp,
        max(
            CASE
                WHEN analyte = 'diastolic_bp' THEN value
                WHEN analyte = 'blood_pressure' THEN second_value
            END
        ) AS diastolic_bp,
        max(CASE WHEN analyte = 'respiratory_rate' THEN value END) AS respiratory_rate,
        max(CASE WHEN analyte = 'spo2' THEN value END) AS spo2,
        max(CASE WHEN analyte = 'temperature' THEN value END) AS temperature,
        max(age_years) AS age_years
    FROM measurements
    GROUP BY patient_id, encounter_id, observed_at
),

-- Admissions, discharges and transfers ask for them; named twice, they are folded once.
visits AS (
    SELECT
        patient_id,
        encounter_id,
        class,
        admitted_at,
        discharged_at,
        discharge_disposition,
        age_years
    FROM encounters_current
    WHERE coalesce(status, '') <> 'cancelled'
),

everything AS (
    SELECT
        e.patient_id,
        e.encounter_id,
        CASE k.kind WHEN 'admission' THEN e.admitted_at ELSE e.discharged_at END AS happened_at,
        k.kind,
        CASE k.kind WHEN 'discharge' THEN e.discharge_disposition END AS code,
        cast(NULL AS VARCHAR) AS code_system,
        e.class AS detail,
        cast(NULL AS DOUBLE) AS value,
        cast(NULL AS VARCHAR) AS unit,
        cast(NULL AS VARCHAR) AS record_id,
        e.age_years
    FROM visits AS e
    CROSS JOIN (VALUES ('admission'), ('discharge')) AS k (kind)
    UNION ALL
    SELECT
        e.patient_id,
        e.encounter_id,
        m.stated_at AS happened_at,
        'transfer' AS kind,
        NULL AS code,
        NULL AS code_system,
        m.unit AS detail,
        NULL AS value,
        NULL AS unit,
        NULL AS record_id,
        e.age_years
    FROM unit_moves AS m
    INNER JOIN visits AS e ON m.encounter_id = e.encounter_id AND m.patient_id = e.patient_id
    WHERE m.nth > 1
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        observed_at AS happened_at,
        'result' AS kind,
        code,
        code_system,
        coalesce(analyte, value_code) AS detail,
        coalesce(value, source_value) AS value,
        CASE WHEN value IS NULL THEN source_unit ELSE unit END AS unit,
        record_id,
        age_years
    FROM lab_results
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        measured_at AS happened_at,
        'vital signs' AS kind,
        NULL AS code,
        NULL AS code_system,
        concat_ws(
            ', ',
            'HR ' || cast(cast(heart_rate AS INTEGER) AS VARCHAR),
            CASE
                WHEN coalesce(systolic_bp, diastolic_bp) IS NOT NULL
                    THEN
                        'BP ' || coalesce(cast(cast(systolic_bp AS INTEGER) AS VARCHAR), '-')
                        || '/' || coalesce(cast(cast(diastolic_bp AS INTEGER) AS VARCHAR), '-')
            END,
            'RR ' || cast(cast(respiratory_rate AS INTEGER) AS VARCHAR),
            'SpO2 ' || cast(cast(spo2 AS INTEGER) AS VARCHAR),
            'T ' || cast(round(temperature, 1) AS VARCHAR)
        ) AS detail,
        NULL AS value,
        NULL AS unit,
        NULL AS record_id,
        age_years
    FROM bedside
    WHERE coalesce(heart_rate, systolic_bp, diastolic_bp, respiratory_rate, spo2, temperature) IS NOT NULL
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        coalesce(onset_at, recorded_at) AS happened_at,
        'diagnosis' AS kind,
        code,
        code_system,
        coalesce(condition, code_display) AS detail,
        NULL AS value,
        NULL AS unit,
        record_id,
        age_years
    FROM patient_conditions
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        happened_at,
        'procedure' AS kind,
        code,
        code_system,
        code_display AS detail,
        NULL AS value,
        NULL AS unit,
        record_id,
        age_years
    FROM procedures_placed
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        started_at AS happened_at,
        'medication' AS kind,
        code,
        code_system,
        concat_ws(', ', coalesce(drug, code_display), state) AS detail,
        dose AS value,
        dose_unit AS unit,
        NULL AS record_id,
        age_years
    FROM medication_list
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        happened_at,
        'allergy' AS kind,
        code,
        code_system,
        code_display AS detail,
        NULL AS value,
        NULL AS unit,
        record_id,
        age_years
    FROM allergies_placed
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        happened_at,
        'immunization' AS kind,
        code,
        code_system,
        code_display AS detail,
        NULL AS value,
        NULL AS unit,
        record_id,
        age_years
    FROM immunizations_placed
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        happened_at,
        'appointment' AS kind,
        service_code AS code,
        service_system AS code_system,
        CASE event WHEN 'S15' THEN 'cancelled' WHEN 'S26' THEN 'no-show' ELSE lower(status) END AS detail,
        NULL AS value,
        NULL AS unit,
        record_id,
        age_years
    FROM appointments_placed
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        happened_at,
        'document' AS kind,
        code,
        code_system,
        completion_status AS detail,
        NULL AS value,
        NULL AS unit,
        record_id,
        age_years
    FROM documents_placed
    UNION ALL
    SELECT
        patient_id,
        encounter_id,
        study_at AS happened_at,
        'imaging' AS kind,
        NULL AS code,
        NULL AS code_system,
        modality AS detail,
        NULL AS value,
        NULL AS unit,
        NULL AS record_id,
        age_years
    FROM imaging_studies
    UNION ALL
    SELECT
        patient_id,
        NULL AS encounter_id,
        deceased_at AS happened_at,
        'death' AS kind,
        NULL AS code,
        NULL AS code_system,
        NULL AS detail,
        NULL AS value,
        NULL AS unit,
        NULL AS record_id,
        age_years
    FROM patients_current
    WHERE deceased_at IS NOT NULL
)

SELECT
    patient_id,
    happened_at,
    kind,
    encounter_id,
    code,
    code_system,
    detail,
    value,
    unit,
    record_id,
    age_years
FROM everything
-- One condition of both, or DuckDB takes each to leave a fifth, and makes the hash table of a join from the diagnoses.
WHERE CASE WHEN patient_id IS NULL THEN FALSE ELSE happened_at IS NOT NULL END

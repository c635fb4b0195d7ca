-- title: Data quality
-- description: How complete and how valid each table is, by the sender it came from: percent of rows that have a
--   patient, a visit, a code, a time, a value, a unit and an age, and faults in what is there. What does not belong to
--   a table is null.
-- grain: table_name, sender_application, sender_facility
-- cells: n_patients (n_rows)
-- column table_name: table
-- column n_rows: statements, corrections and repetitions included
-- column n_patients: distinct identities in them
-- column with_patient: percent of rows with a patient
-- column with_visit: percent with a visit
-- column with_code: percent with a code (for patients null; for encounters a class)
-- column with_time: percent with the time of the event
-- column with_value: percent with what the row is for: a result, a dose, a sex, a unit of the hospital, an order number
-- column with_unit: percent with a unit, where the value needs one
-- column with_age: percent with an age at the event
-- column n_invalid_times: rows whose times contradict each other: an end before its start, an event after the record
--   that tells it
-- column n_invalid_values: rows whose value is not one: a number that is none, a negative amount
-- column completeness: mean of the percents that apply
-- column validity: percent of rows without an invalid time or value
WITH senders AS (
    SELECT
        record_id,
        sender_application,
        sender_facility
    FROM records
),

counted AS (
    SELECT
        'patients' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        cast(NULL AS BIGINT) AS n_visit,
        cast(NULL AS BIGINT) AS n_code,
        count(x.stated_at) AS n_time,
        count(CASE WHEN x.sex IS NOT NULL AND x.sex <> 'unknown' THEN 1 END) AS n_value,
        cast(NULL AS BIGINT) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.deceased_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid_times,
        count(CASE WHEN FALSE THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.deceased_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid
    FROM patients AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'encounters' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.class IS NOT NULL AND x.class NOT IN ('U', 'N') THEN 1 END) AS n_code,
        count(coalesce(x.admitted_at, x.stated_at)) AS n_time,
        count(CASE WHEN x.unit IS NOT NULL THEN 1 END) AS n_value,
        cast(NULL AS BIGINT) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.discharged_at < x.admitted_at THEN 1 END) AS n_invalid_times,
        count(CASE WHEN FALSE THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.discharged_at < x.admitted_at THEN 1 END) AS n_invalid
    FROM encounters AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'observations' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.code IS NOT NULL THEN 1 END) AS n_code,
        count(x.observed_at) AS n_time,
        count(
            CASE WHEN x.value_number IS NOT NULL OR x.value_code IS NOT NULL OR x.value_at IS NOT NULL THEN 1 END
        ) AS n_value,
        count(CASE WHEN x.unit IS NOT NULL OR x.value_number IS NULL THEN 1 END) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.observed_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid_times,
        count(CASE WHEN x.value_type IN ('NM', 'SN') AND x.value_number IS NULL THEN 1 END) AS n_invalid_values,
        count(
            CASE
                WHEN x.observed_at > x.stated_at + INTERVAL '1' DAY THEN 1
                WHEN x.value_type IN ('NM', 'SN') AND x.value_number IS NULL THEN 1
            END
        ) AS n_invalid
    FROM observations AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'conditions' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.code IS NOT NULL THEN 1 END) AS n_code,
        count(x.recorded_at) AS n_time,
        count(CASE WHEN x.kind IS NOT NULL THEN 1 END) AS n_value,
        cast(NULL AS BIGINT) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.onset_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid_times,
        count(CASE WHEN FALSE THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.onset_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid
    FROM conditions AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'procedures' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.code IS NOT NULL THEN 1 END) AS n_code,
        count(x.performed_at) AS n_time,
        cast(NULL AS BIGINT) AS n_value,
        cast(NULL AS BIGINT) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.performed_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid_times,
        count(CASE WHEN x.minutes < 0 THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.performed_at > x.stated_at + INTERVAL '1' DAY OR (x.minutes < 0) THEN 1 END) AS n_invalid
    FROM procedures AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'medications' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.code IS NOT NULL THEN 1 END) AS n_code,
        count(x.started_at) AS n_time,
        count(CASE WHEN x.dose IS NOT NULL THEN 1 END) AS n_value,
        count(CASE WHEN x.dose_unit IS NOT NULL OR x.dose IS NULL THEN 1 END) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.ended_at < x.started_at THEN 1 END) AS n_invalid_times,
        count(CASE WHEN x.dose < 0 THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.ended_at < x.started_at OR (x.dose < 0) THEN 1 END) AS n_invalid
    FROM medications AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'orders' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.code IS NOT NULL THEN 1 END) AS n_code,
        count(x.requested_at) AS n_time,
        count(CASE WHEN x.order_id IS NOT NULL OR x.placer_order_id IS NOT NULL THEN 1 END) AS n_value,
        cast(NULL AS BIGINT) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.reported_at < x.observed_at THEN 1 END) AS n_invalid_times,
        count(CASE WHEN FALSE THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.reported_at < x.observed_at THEN 1 END) AS n_invalid
    FROM orders AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'allergies' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.code IS NOT NULL THEN 1 END) AS n_code,
        count(x.recorded_at) AS n_time,
        count(CASE WHEN x.severity IS NOT NULL THEN 1 END) AS n_value,
        cast(NULL AS BIGINT) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.onset_at > x.recorded_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid_times,
        count(CASE WHEN FALSE THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.onset_at > x.recorded_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid
    FROM allergies AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'immunizations' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.code IS NOT NULL THEN 1 END) AS n_code,
        count(x.given_at) AS n_time,
        count(CASE WHEN x.dose IS NOT NULL THEN 1 END) AS n_value,
        count(CASE WHEN x.dose_unit IS NOT NULL OR x.dose IS NULL THEN 1 END) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.given_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid_times,
        count(CASE WHEN x.dose < 0 THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.given_at > x.stated_at + INTERVAL '1' DAY OR (x.dose < 0) THEN 1 END) AS n_invalid
    FROM immunizations AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
    UNION ALL
    SELECT
        'documents' AS table_name,
        r.sender_application,
        r.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT x.patient_id) AS n_patients,
        count(x.patient_id) AS n_patient,
        count(CASE WHEN x.encounter_id IS NOT NULL THEN 1 END) AS n_visit,
        count(CASE WHEN x.code IS NOT NULL THEN 1 END) AS n_code,
        count(x.written_at) AS n_time,
        count(CASE WHEN x.completion_status IS NOT NULL THEN 1 END) AS n_value,
        cast(NULL AS BIGINT) AS n_unit,
        count(CASE WHEN x.age_years IS NOT NULL THEN 1 END) AS n_age,
        count(CASE WHEN x.written_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid_times,
        count(CASE WHEN FALSE THEN 1 END) AS n_invalid_values,
        count(CASE WHEN x.written_at > x.stated_at + INTERVAL '1' DAY THEN 1 END) AS n_invalid
    FROM documents AS x
    LEFT JOIN senders AS r ON x.record_id = r.record_id
    GROUP BY r.sender_application, r.sender_facility
),

shares AS (
    SELECT
        *,
        100.0 * n_patient / n_rows AS with_patient,
        100.0 * n_visit / n_rows AS with_visit,
        100.0 * n_code / n_rows AS with_code,
        100.0 * n_time / n_rows AS with_time,
        100.0 * n_value / n_rows AS with_value,
        100.0 * n_unit / n_rows AS with_unit,
        100.0 * n_age / n_rows AS with_age
    FROM counted
)

SELECT
    table_name,
    sender_application,
    sender_facility,
    n_rows,
    n_patients,
    with_patient,
    with_visit,
    with_code,
    with_time,
    with_value,
    with_unit,
    with_age,
    n_invalid_times,
    n_invalid_values,
    (
        with_patient + with_time + with_age
        + coalesce(with_visit, 0) + coalesce(with_code, 0) + coalesce(with_value, 0) + coalesce(with_unit, 0)
    ) / (
        7
        - CASE WHEN with_visit IS NULL THEN 1 ELSE 0 END
        - CASE WHEN with_code IS NULL THEN 1 ELSE 0 END
        - CASE WHEN with_value IS NULL THEN 1 ELSE 0 END
        - CASE WHEN with_unit IS NULL THEN 1 ELSE 0 END
    ) AS completeness,
    100.0 * (n_rows - n_invalid) / n_rows AS validity
FROM shares

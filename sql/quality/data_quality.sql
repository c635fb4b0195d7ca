-- title: Data quality
-- description: How complete and how valid each table is, by the sender it came from: percent of rows that have a
--   patient, a visit, a code, a time, a value, a unit and an age, and faults in what is there. What does not belong to
--   a table is null.
-- grain: table_name, sender_application, sender_facility
-- cells: n_patients (n_rows)
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
-- column n_invalid_values: rows whose value is not valid: a numeric result that is not a number, a negative amount
-- column completeness: mean of the percents that apply
-- column validity: percent of rows without an invalid time or value
WITH totals AS (
    SELECT
        facts.table_name,
        records.sender_application,
        records.sender_facility,
        count(*) AS n_rows,
        count(DISTINCT facts.patient_id) AS n_patients,
        count(facts.patient_id) AS n_patient,
        -- The sum of nulls is null: the column does not belong to the table.
        sum(facts.has_visit::INT)::BIGINT AS n_visit,
        sum(facts.has_code::INT)::BIGINT AS n_code,
        sum(facts.has_time::INT)::BIGINT AS n_time,
        sum(facts.has_value::INT)::BIGINT AS n_value,
        sum(facts.has_unit::INT)::BIGINT AS n_unit,
        sum(facts.has_age::INT)::BIGINT AS n_age,
        count(CASE WHEN facts.is_invalid_time THEN 1 END) AS n_invalid_times,
        count(CASE WHEN facts.is_invalid_value THEN 1 END) AS n_invalid_values,
        count(CASE WHEN facts.is_invalid_time OR facts.is_invalid_value THEN 1 END) AS n_invalid
    FROM quality_facts AS facts
    LEFT JOIN records ON facts.record_id = records.record_id
    GROUP BY facts.table_name, records.sender_application, records.sender_facility
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
    FROM totals
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

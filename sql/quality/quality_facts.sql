-- title: Quality of each row
-- description: What each row of a clinical table has and what is wrong with it, one narrow row each, in the same
--   columns for every table. What does not belong to a table is null.
-- grain: table_name, record_id, ordinal
-- column table_name: table
-- column has_visit: whether the row has a visit
-- column has_code: whether it has a code (for patients null; for encounters a class)
-- column has_time: whether it has the time of the event
-- column has_value: whether it has what the row is for: a result, a dose, a sex, a unit of the hospital, an order
--   number
-- column has_unit: whether it has a unit, or no value that needs one
-- column has_age: whether it has an age at the event
-- column is_invalid_time: whether its times contradict each other: an end before its start, an event after the record
--   that tells it; null where one of them is not known
-- column is_invalid_value: whether its value is not valid: a numeric result that is not a number, a negative amount

-- Not cut into concept views: it is one branch for each table, in the same columns.
SELECT
    'patients' AS table_name,
    record_id,
    ordinal,
    patient_id,
    cast(NULL AS BOOLEAN) AS has_visit,
    cast(NULL AS BOOLEAN) AS has_code,
    stated_at IS NOT NULL AS has_time,
    sex IS NOT NULL AND sex <> 'unknown' AS has_value,
    cast(NULL AS BOOLEAN) AS has_unit,
    age_years IS NOT NULL AS has_age,
    deceased_at > stated_at + INTERVAL '1' DAY AS is_invalid_time,
    FALSE AS is_invalid_value
FROM patients
UNION ALL
SELECT
    'encounters' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    class IS NOT NULL AND class NOT IN ('U', 'N') AS has_code,
    coalesce(admitted_at, stated_at) IS NOT NULL AS has_time,
    unit IS NOT NULL AS has_value,
    cast(NULL AS BOOLEAN) AS has_unit,
    age_years IS NOT NULL AS has_age,
    discharged_at < admitted_at AS is_invalid_time,
    FALSE AS is_invalid_value
FROM encounters
UNION ALL
SELECT
    'observations' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    code IS NOT NULL AS has_code,
    observed_at IS NOT NULL AS has_time,
    value_number IS NOT NULL OR value_code IS NOT NULL OR value_at IS NOT NULL AS has_value,
    unit IS NOT NULL OR value_number IS NULL AS has_unit,
    age_years IS NOT NULL AS has_age,
    observed_at > stated_at + INTERVAL '1' DAY AS is_invalid_time,
    value_type IN ('NM', 'SN') AND value_number IS NULL AS is_invalid_value
FROM observations
UNION ALL
SELECT
    'conditions' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    code IS NOT NULL AS has_code,
    recorded_at IS NOT NULL AS has_time,
    kind IS NOT NULL AS has_value,
    cast(NULL AS BOOLEAN) AS has_unit,
    age_years IS NOT NULL AS has_age,
    onset_at > stated_at + INTERVAL '1' DAY AS is_invalid_time,
    FALSE AS is_invalid_value
FROM conditions
UNION ALL
SELECT
    'procedures' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    code IS NOT NULL AS has_code,
    performed_at IS NOT NULL AS has_time,
    cast(NULL AS BOOLEAN) AS has_value,
    cast(NULL AS BOOLEAN) AS has_unit,
    age_years IS NOT NULL AS has_age,
    performed_at > stated_at + INTERVAL '1' DAY AS is_invalid_time,
    minutes < 0 AS is_invalid_value
FROM procedures
UNION ALL
SELECT
    'medications' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    code IS NOT NULL AS has_code,
    started_at IS NOT NULL AS has_time,
    dose IS NOT NULL AS has_value,
    dose_unit IS NOT NULL OR dose IS NULL AS has_unit,
    age_years IS NOT NULL AS has_age,
    ended_at < started_at AS is_invalid_time,
    dose < 0 AS is_invalid_value
FROM medications
UNION ALL
SELECT
    'orders' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    code IS NOT NULL AS has_code,
    requested_at IS NOT NULL AS has_time,
    order_id IS NOT NULL OR placer_order_id IS NOT NULL AS has_value,
    cast(NULL AS BOOLEAN) AS has_unit,
    age_years IS NOT NULL AS has_age,
    reported_at < observed_at AS is_invalid_time,
    FALSE AS is_invalid_value
FROM orders
UNION ALL
SELECT
    'allergies' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    code IS NOT NULL AS has_code,
    recorded_at IS NOT NULL AS has_time,
    severity IS NOT NULL AS has_value,
    cast(NULL AS BOOLEAN) AS has_unit,
    age_years IS NOT NULL AS has_age,
    onset_at > recorded_at + INTERVAL '1' DAY AS is_invalid_time,
    FALSE AS is_invalid_value
FROM allergies
UNION ALL
SELECT
    'immunizations' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    code IS NOT NULL AS has_code,
    given_at IS NOT NULL AS has_time,
    dose IS NOT NULL AS has_value,
    dose_unit IS NOT NULL OR dose IS NULL AS has_unit,
    age_years IS NOT NULL AS has_age,
    given_at > stated_at + INTERVAL '1' DAY AS is_invalid_time,
    dose < 0 AS is_invalid_value
FROM immunizations
UNION ALL
SELECT
    'documents' AS table_name,
    record_id,
    ordinal,
    patient_id,
    encounter_id IS NOT NULL AS has_visit,
    code IS NOT NULL AS has_code,
    written_at IS NOT NULL AS has_time,
    completion_status IS NOT NULL AS has_value,
    cast(NULL AS BOOLEAN) AS has_unit,
    age_years IS NOT NULL AS has_age,
    written_at > stated_at + INTERVAL '1' DAY AS is_invalid_time,
    FALSE AS is_invalid_value
FROM documents

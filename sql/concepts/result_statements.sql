-- title: Result statements
-- description: Every statement of a result or vital sign, corrections and repetitions included, under the patient it
--   belongs to today and on that patient's time line.
-- grain: record_id, ordinal
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column order_key: the filler's order number, else the placer's
-- column result_of: what names the result beside its code: order_key, else the patient as recorded
-- column recorded_patient_id: patient as recorded, before merges
-- column recorded_observed_at: when it was observed, as recorded
-- column code: code of the result as sent
-- column code_key: the code as analyte_names lists it
-- column code_space: the system as analyte_names lists it: open where codes of several systems share a list
-- column alt_code_key: the same of the second code
-- column alt_code_space: the same of the second code's system
-- column category: section that made it (OBR-24)
-- column status: as sent; corrected or cancelled also where only the order says so (OBR-25 C, X)
-- column observed_at: when it was observed
-- column reported_at: when it was reported
-- column stated_at: when the record that states it was made
-- column age_years: age in years at that time; 90 stands for 90 and over

-- Nothing here is named twice: DuckDB would keep a query that is (a CTE) apart and read every column beneath it.
WITH corrected_orders AS (
    SELECT DISTINCT
        record_id,
        coalesce(order_id, placer_order_id) AS order_key
    FROM orders
    WHERE result_status = 'C' AND coalesce(order_id, placer_order_id) IS NOT NULL
),

-- The filler's number and the placer's name one order: whichever of them a record leaves out, the other one tells.
cancellations AS (
    SELECT
        coalesce(order_id, placer_order_id) AS order_key,
        stated_at
    FROM orders
    WHERE result_status = 'X'
    UNION ALL
    SELECT
        placer_order_id AS order_key,
        stated_at
    FROM orders
    WHERE result_status = 'X' AND order_id IS NOT NULL
    UNION ALL
    SELECT
        o.order_id AS order_key,
        w.stated_at
    FROM orders AS w
    INNER JOIN orders AS o ON w.placer_order_id = o.placer_order_id
    WHERE w.result_status = 'X' AND w.order_id IS NULL
),

-- A cancelled order takes the results with it that were stated until then.
cancelled_orders AS (
    SELECT
        order_key,
        max(stated_at) AS cancelled_at
    FROM cancellations
    WHERE order_key IS NOT NULL
    GROUP BY order_key
),

placed AS (
    SELECT
        o.*,
        coalesce(i.patient_id, m.patient_id, o.patient_id) AS owner_id,
        coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0) AS offset_days,
        CASE
            WHEN x.order_key IS NOT NULL AND coalesce(o.stated_at <= x.cancelled_at, TRUE) THEN 'cancelled'
            WHEN c.order_key IS NOT NULL AND coalesce(o.status, 'final') = 'final' THEN 'corrected'
            ELSE o.status
        END AS order_status
    FROM observations AS o
    LEFT JOIN encounter_moves AS m ON o.encounter_id = m.encounter_id AND o.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, o.patient_id) = i.old_patient_id
    LEFT JOIN corrected_orders AS c
        ON coalesce(o.order_id, o.placer_order_id) = c.order_key AND o.record_id = c.record_id
    LEFT JOIN cancelled_orders AS x ON coalesce(o.order_id, o.placer_order_id) = x.order_key
)

SELECT
    record_id,
    ordinal,
    owner_id AS patient_id,
    encounter_id,
    order_id,
    placer_order_id,
    coalesce(order_id, placer_order_id) AS order_key,
    coalesce(order_id, placer_order_id, patient_id) AS result_of,
    patient_id AS recorded_patient_id,
    observed_at AS recorded_observed_at,
    specimen_id,
    panel_code,
    panel_system,
    code,
    code_system,
    code_display,
    upper(code) AS code_key,
    CASE
        WHEN code_system IN ('loinc', 'snomed', 'icd10cm', 'cpt', 'mdc', 'dcm') THEN code_system
        ELSE 'open'
    END AS code_space,
    alt_code,
    alt_code_system,
    upper(alt_code) AS alt_code_key,
    CASE
        WHEN alt_code_system IN ('loinc', 'snomed', 'icd10cm', 'cpt', 'mdc', 'dcm') THEN alt_code_system
        ELSE 'open'
    END AS alt_code_space,
    sub_id,
    category,
    value_type,
    value_number,
    comparator,
    value_high,
    value_separator,
    value_code,
    value_code_system,
    value_code_display,
    unit,
    range_low,
    range_high,
    flag,
    order_status AS status,
    CASE
        WHEN offset_days = 0 THEN observed_at
        ELSE observed_at + offset_days * INTERVAL '1' DAY
    END AS observed_at,
    CASE
        WHEN offset_days = 0 THEN reported_at
        ELSE reported_at + offset_days * INTERVAL '1' DAY
    END AS reported_at,
    CASE
        WHEN offset_days = 0 THEN stated_at
        ELSE stated_at + offset_days * INTERVAL '1' DAY
    END AS stated_at,
    performer_id,
    performer_facility,
    method_code,
    age_years
FROM placed

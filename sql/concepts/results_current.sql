-- title: Current results
-- description: The latest statement of each result and vital sign, of every kind: corrections and repeated messages
--   replace what they correct, deleted, wrong and cancelled results are gone, merged patients are one.
-- grain: record_id, ordinal
-- source: HL7 v2.9 ch. 7.4.2 and table 0085 (OBX-11), table 0123 (OBR-25).
-- column status: final, corrected, preliminary, ...; corrected also where only the order says so (OBR-25 C)
WITH corrected_orders AS (
    SELECT DISTINCT
        record_id,
        order_id
    FROM orders
    WHERE result_status = 'C'
),

-- An order whose last word is "cancelled" (OBR-25 X) takes its earlier results with it.
cancelled_orders AS (
    SELECT
        order_id,
        stated_at
    FROM orders
    WHERE order_id IS NOT NULL AND result_status IS NOT NULL
    QUALIFY
        row_number() OVER (PARTITION BY order_id ORDER BY stated_at DESC NULLS LAST, record_id DESC NULLS LAST) = 1
        AND result_status = 'X'
),

placed AS (
    SELECT
        o.*,
        coalesce(m.patient_id, i.patient_id, o.patient_id) AS owner_id,
        coalesce(m.offset_days, i.offset_days, 0) AS offset_days
    FROM observations AS o
    LEFT JOIN identity_changes AS i ON o.patient_id = i.old_patient_id
    LEFT JOIN encounter_moves AS m ON o.encounter_id = m.encounter_id AND o.patient_id = m.old_patient_id
    -- These say that a result is awaited, and so do not replace one.
    WHERE coalesce(o.status, 'final') NOT IN ('pending', 'ordered', 'not-asked')
),

statements AS (
    SELECT
        record_id,
        ordinal,
        owner_id AS patient_id,
        encounter_id,
        order_id,
        placer_order_id,
        specimen_id,
        panel_code,
        panel_system,
        code,
        code_system,
        code_display,
        alt_code,
        alt_code_system,
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
        status,
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
),

-- rank, not row_number: a record that states one code several times (two cultures, two cuffs) keeps them all.
latest AS (
    SELECT *
    FROM statements
    QUALIFY rank() OVER (
        PARTITION BY patient_id, coalesce(order_id, placer_order_id), code, code_system, sub_id, observed_at
        ORDER BY stated_at DESC NULLS LAST, record_id DESC NULLS LAST
    ) = 1
)

SELECT
    l.record_id,
    l.ordinal,
    l.patient_id,
    l.encounter_id,
    l.order_id,
    l.placer_order_id,
    l.specimen_id,
    l.panel_code,
    l.panel_system,
    l.code,
    l.code_system,
    l.code_display,
    l.alt_code,
    l.alt_code_system,
    l.sub_id,
    l.category,
    l.value_type,
    l.value_number,
    l.comparator,
    l.value_high,
    l.value_separator,
    l.value_code,
    l.value_code_system,
    l.value_code_display,
    l.unit,
    l.range_low,
    l.range_high,
    l.flag,
    CASE WHEN c.record_id IS NULL THEN l.status ELSE 'corrected' END AS status,
    l.observed_at,
    l.reported_at,
    l.stated_at,
    l.performer_id,
    l.performer_facility,
    l.method_code,
    l.age_years
FROM latest AS l
LEFT JOIN corrected_orders AS c ON l.record_id = c.record_id AND l.order_id = c.order_id
LEFT JOIN cancelled_orders AS x ON l.order_id = x.order_id AND (l.stated_at <= x.stated_at OR l.stated_at IS NULL)
WHERE coalesce(l.status, 'final') NOT IN ('deleted', 'wrong', 'cancelled') AND x.order_id IS NULL

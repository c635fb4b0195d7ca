-- title: Medications
-- description: One row per medication order with what became of it: the latest word on it (new, changed, cancelled,
--   discontinued, held, released), what was dispensed and given under it, and whether the patient was still on it at
--   the latest record about the patient. A medication without an order number is one order for each start.
-- grain: patient_id, order_id, code, started_at
-- source: HL7 v2.9 table 0119 (ORC-1), ch. 4A; codes.medication_classes
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column drug: ingredient such as metformin; null when the code tells none
-- column state: active, on-hold, completed, discontinued or cancelled
-- column is_active: active, and not past its end at the latest record about the patient
-- column n_dispensed: dispenses under the order
-- column n_given: administrations under the order that were not refused or left out
-- column last_given_at: latest administration
-- column age_years: age in years when it was ordered; 90 stands for 90 and over
-- column first_stated_at: earliest record of the order
-- column last_stated_at: latest record of the order

-- Not cut into concept views: nothing else reads one of its steps.
WITH placed AS (
    SELECT
        m.record_id,
        m.ordinal,
        m.encounter_id,
        m.kind,
        m.code,
        m.code_system,
        m.code_display,
        m.dose,
        m.dose_unit,
        m.route,
        m.frequency,
        m.status,
        m.age_years,
        coalesce(i.patient_id, v.patient_id, m.patient_id) AS patient_id,
        coalesce(m.placer_order_id, m.order_id) AS order_id,
        coalesce(s.state, c.state) AS state,
        (coalesce(v.offset_days, 0) + coalesce(i.offset_days, 0)) * INTERVAL '1' DAY AS shift,
        m.started_at,
        m.ended_at,
        m.stated_at
    FROM medications AS m
    LEFT JOIN encounter_moves AS v ON m.encounter_id = v.encounter_id AND m.patient_id = v.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(v.patient_id, m.patient_id) = i.old_patient_id
    LEFT JOIN codes.order_states AS c ON c.field = 'order_control' AND upper(m.order_control) = c.code
    -- The status of an administration or a dispense says nothing about the order.
    LEFT JOIN codes.order_states AS s
        ON s.field = 'status' AND upper(m.status) = s.code AND m.kind IN ('order', 'encoded-order')
),

-- One key for an order: its number; without one, the drug and its start.
keyed AS (
    SELECT
        *,
        coalesce(order_id, concat_ws('/', code_system, code, code_display, cast(started_at AS VARCHAR))) AS order_key,
        coalesce(kind, 'order') IN ('order', 'encoded-order') AS is_order,
        kind = 'administration' AND coalesce(upper(status), 'CP') NOT IN ('RE', 'NA') AS is_given
    FROM placed
),

-- Many orders are stated once, and then there is nothing to sort or to fold.
repeated AS (
    SELECT
        patient_id,
        order_key
    FROM keyed
    GROUP BY patient_id, order_key
    HAVING count(*) > 1
),

sorted AS (
    SELECT
        k.*,
        row_number() OVER (
            PARTITION BY k.patient_id, k.order_key
            ORDER BY k.stated_at + k.shift NULLS FIRST, k.record_id NULLS FIRST, k.ordinal NULLS FIRST
        ) AS nth
    FROM keyed AS k
    INNER JOIN repeated AS r ON k.patient_id IS NOT DISTINCT FROM r.patient_id AND k.order_key = r.order_key
),

-- What was ordered comes from orders, and from dispenses and administrations only where no order was seen.
weighed AS (
    SELECT
        *,
        CASE WHEN is_order THEN nth ELSE nth - 1000000 END AS says
    FROM sorted
),

folded AS (
    SELECT
        patient_id,
        max(order_id) AS order_id,
        arg_max(encounter_id, CASE WHEN encounter_id IS NOT NULL THEN nth END) AS encounter_id,
        arg_max(coalesce(code, ''), CASE WHEN code IS NOT NULL OR code_display IS NOT NULL THEN says END) AS code,
        arg_max(coalesce(code_system, ''), CASE WHEN code IS NOT NULL OR code_display IS NOT NULL THEN says END)
            AS code_system,
        arg_max(coalesce(code_display, ''), CASE WHEN code IS NOT NULL OR code_display IS NOT NULL THEN says END)
            AS code_display,
        arg_max(dose, CASE WHEN dose IS NOT NULL THEN says END) AS dose,
        arg_max(coalesce(dose_unit, ''), CASE WHEN dose IS NOT NULL THEN says END) AS dose_unit,
        arg_max(route, CASE WHEN route IS NOT NULL THEN says END) AS route,
        arg_max(frequency, CASE WHEN frequency IS NOT NULL THEN says END) AS frequency,
        coalesce(arg_max(state, CASE WHEN state IS NOT NULL THEN nth END), 'active') AS state,
        arg_min(started_at + shift, CASE WHEN started_at IS NOT NULL THEN nth END) AS first_start,
        arg_max(ended_at + shift, CASE WHEN ended_at IS NOT NULL AND is_order THEN nth END) AS ended_at,
        count(DISTINCT CASE WHEN kind = 'dispense' THEN coalesce(started_at, stated_at) END) AS n_dispensed,
        count(DISTINCT CASE WHEN is_given THEN coalesce(started_at, stated_at) END) AS n_given,
        max(CASE WHEN is_given THEN coalesce(started_at, stated_at) + shift END) AS last_given_at,
        arg_min(age_years, CASE WHEN age_years IS NOT NULL THEN nth END) AS age_years,
        min(stated_at + shift) AS first_stated_at,
        max(stated_at + shift) AS last_stated_at
    FROM weighed
    GROUP BY patient_id, order_key
    UNION ALL
    SELECT
        k.patient_id,
        k.order_id,
        k.encounter_id,
        CASE WHEN k.code IS NOT NULL OR k.code_display IS NOT NULL THEN coalesce(k.code, '') END AS code,
        CASE WHEN k.code IS NOT NULL OR k.code_display IS NOT NULL THEN coalesce(k.code_system, '') END AS code_system,
        CASE WHEN k.code IS NOT NULL OR k.code_display IS NOT NULL THEN coalesce(k.code_display, '') END
            AS code_display,
        k.dose,
        CASE WHEN k.dose IS NOT NULL THEN coalesce(k.dose_unit, '') END AS dose_unit,
        k.route,
        k.frequency,
        coalesce(k.state, 'active') AS state,
        k.started_at + k.shift AS first_start,
        CASE WHEN k.is_order THEN k.ended_at + k.shift END AS ended_at,
        CASE WHEN k.kind = 'dispense' AND coalesce(k.started_at, k.stated_at) IS NOT NULL THEN 1 ELSE 0 END
            AS n_dispensed,
        CASE WHEN k.is_given AND coalesce(k.started_at, k.stated_at) IS NOT NULL THEN 1 ELSE 0 END AS n_given,
        CASE WHEN k.is_given THEN coalesce(k.started_at, k.stated_at) + k.shift END AS last_given_at,
        k.age_years,
        k.stated_at + k.shift AS first_stated_at,
        k.stated_at + k.shift AS last_stated_at
    FROM keyed AS k
    LEFT JOIN repeated AS r ON k.patient_id IS NOT DISTINCT FROM r.patient_id AND k.order_key = r.order_key
    WHERE r.order_key IS NULL
),

last_seen AS (
    SELECT
        coalesce(i.patient_id, p.patient_id) AS patient_id,
        max(
            CASE
                WHEN i.patient_id IS NULL THEN p.stated_at ELSE p.stated_at + i.offset_days * INTERVAL '1' DAY
            END
        ) AS seen_at
    FROM patients AS p
    LEFT JOIN identity_changes AS i ON p.patient_id = i.old_patient_id
    GROUP BY coalesce(i.patient_id, p.patient_id)
)

SELECT
    f.patient_id,
    f.encounter_id,
    f.order_id,
    nullif(f.code, '') AS code,
    nullif(f.code_system, '') AS code_system,
    nullif(f.code_display, '') AS code_display,
    d.drug,
    d.class,
    d.family,
    d.atc,
    f.dose,
    nullif(f.dose_unit, '') AS dose_unit,
    f.route,
    f.frequency,
    f.state,
    f.state = 'active' AND (f.ended_at IS NULL OR l.seen_at IS NULL OR f.ended_at >= l.seen_at) AS is_active,
    f.first_start AS started_at,
    f.ended_at,
    f.n_dispensed,
    f.n_given,
    f.last_given_at,
    f.age_years,
    f.first_stated_at,
    f.last_stated_at
FROM folded AS f
LEFT JOIN drug_names AS d
    ON
        f.code = coalesce(d.code, '')
        AND f.code_system = coalesce(d.code_system, '')
        AND f.code_display = coalesce(d.code_display, '')
LEFT JOIN last_seen AS l ON f.patient_id = l.patient_id

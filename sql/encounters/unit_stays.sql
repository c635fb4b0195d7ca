-- title: Stays on a unit
-- description: Where each patient was, from when until when: the units of a visit in order, with cancelled transfers
--   and cancelled visits left out. The last stay ends with the visit, or is still open.
-- grain: patient_id, encounter_id, nth
-- source: HL7 v2.9 ch. 3.3: A01, A02, A04, A06, A07, A12
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column nth: 1 for the first unit of the visit
-- column unit: nursing unit
-- column class: class of the visit, as in encounters_current
-- column visit_status: status of the visit, as in encounters_current
-- column from_at: when the patient came to the unit
-- column to_at: when the patient left it; null while there
-- column hours: length of the stay
-- column prior_unit: unit before; null for the first
-- column next_unit: unit after; null for the last
-- column age_years: age in years at admission; 90 stands for 90 and over
WITH moves AS (
    SELECT
        e.encounter_id,
        e.unit,
        e.event,
        e.record_id,
        e.ordinal,
        coalesce(i.patient_id, m.patient_id, e.patient_id) AS patient_id,
        e.stated_at + (coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0)) * INTERVAL '1' DAY AS stated_at
    FROM encounters AS e
    LEFT JOIN encounter_moves AS m ON e.encounter_id = m.encounter_id AND e.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, e.patient_id) = i.old_patient_id
    WHERE
        e.encounter_id IS NOT NULL
        AND (e.event IN ('A01', 'A02', 'A04', 'A06', 'A07', 'A12') OR (e.event IS NULL AND e.status = 'in-progress'))
),

judged AS (
    SELECT
        *,
        coalesce(
            event = 'A02'
            AND lead(event) OVER (
                PARTITION BY patient_id, encounter_id, coalesce(event, '') IN ('A02', 'A12')
                ORDER BY stated_at, record_id, ordinal
            ) = 'A12',
            FALSE
        ) AS is_undone
    FROM moves
),

-- A record that names the unit where the patient already is starts no stay.
changes AS (
    SELECT
        *,
        lag(unit) OVER (PARTITION BY patient_id, encounter_id ORDER BY stated_at, record_id, ordinal) AS unit_before
    FROM judged
    WHERE unit IS NOT NULL AND NOT is_undone
),

stays AS (
    SELECT
        patient_id,
        encounter_id,
        unit,
        stated_at,
        row_number() OVER visit AS nth,
        lag(unit) OVER visit AS prior_unit,
        lead(unit) OVER visit AS next_unit,
        lead(stated_at) OVER visit AS next_at
    FROM changes
    WHERE unit <> coalesce(unit_before, '')
    WINDOW visit AS (PARTITION BY patient_id, encounter_id ORDER BY stated_at, record_id, ordinal)
),

bounded AS (
    SELECT
        s.patient_id,
        s.encounter_id,
        s.nth,
        s.unit,
        s.prior_unit,
        s.next_unit,
        e.class,
        e.age_years,
        e.status AS visit_status,
        CASE WHEN s.nth = 1 THEN coalesce(e.admitted_at, s.stated_at) ELSE s.stated_at END AS from_at,
        coalesce(s.next_at, e.discharged_at) AS to_at
    FROM stays AS s
    INNER JOIN encounters_current AS e ON s.encounter_id = e.encounter_id AND s.patient_id = e.patient_id
    WHERE coalesce(e.status, '') <> 'cancelled'
)

SELECT
    patient_id,
    encounter_id,
    nth,
    unit,
    prior_unit,
    next_unit,
    class,
    visit_status,
    from_at,
    to_at,
    date_diff('minute', from_at, to_at) / 60.0 AS hours,
    age_years
FROM bounded

-- title: Moves between units
-- description: The units of a visit in the order in which its messages place the patient there, without cancelled
--   transfers; visits that were cancelled themselves are still here. unit_stays bounds them by admission and discharge.
-- grain: patient_id, encounter_id, nth
-- source: HL7 v2.9 ch. 3.3: A01, A02, A04, A06, A07, A12
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit
-- column nth: 1 for the first unit of the visit
-- column unit: nursing unit
-- column stated_at: when the message that places the patient there was made
-- column prior_unit: unit before; null for the first
-- column next_unit: unit after; null for the last
-- column next_at: when the message of the next unit was made; null for the last
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

classified_moves AS (
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
    FROM classified_moves
    WHERE unit IS NOT NULL AND NOT is_undone
)

SELECT
    patient_id,
    encounter_id,
    row_number() OVER visit AS nth,
    unit,
    stated_at,
    lag(unit) OVER visit AS prior_unit,
    lead(unit) OVER visit AS next_unit,
    lead(stated_at) OVER visit AS next_at
FROM changes
WHERE unit <> coalesce(unit_before, '')
WINDOW visit AS (PARTITION BY patient_id, encounter_id ORDER BY stated_at, record_id, ordinal)

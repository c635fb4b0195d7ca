-- title: Stays on a unit
-- description: Where each patient was, from when until when: the units of a visit in order, with cancelled transfers
--   and cancelled visits left out. The last stay ends with the visit, or is still open.
-- grain: patient_id, encounter_id, nth
-- source: HL7 v2.9 ch. 3.3: A01, A02, A04, A06, A07, A12
-- column encounter_id: pseudonym of the visit; null where none is known
-- column unit: nursing unit
-- column class: class of the visit, as in encounters_current
-- column visit_status: status of the visit, as in encounters_current
-- column from_at: when the patient came to the unit
-- column to_at: when the patient left it; null while there
-- column hours: length of the stay
-- column age_years: age in years at admission; 90 stands for 90 and over
WITH bounded AS (
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
    FROM unit_moves AS s
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

-- title: Suspected infections
-- description: When an infection was suspected in a visit: an antibiotic starts within 72 hours after a culture, or a
--   culture is taken within 24 hours after an antibiotic; the earlier of the two is the time. Every suspicion of a
--   visit is one row; where several cultures or antibiotics tell of the same time, the first of them is shown.
-- grain: patient_id, encounter_id, suspected_at
-- source: Singer, JAMA 2016;315:801; Seymour, JAMA 2016;315:762; codes.culture_orders, codes.medication_classes
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit
-- column suspected_at: time of the suspected infection: of the culture or the antibiotic, whichever came first
-- column culture_at: when the culture was taken
-- column antibiotic_at: when the antibiotic began
-- column antibiotic: the antibiotic
WITH cultures AS (
    SELECT
        coalesce(i.patient_id, m.patient_id, orders.patient_id) AS patient_id,
        orders.encounter_id,
        coalesce(orders.observed_at, orders.requested_at, orders.ordered_at)
        + (coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0)) * INTERVAL '1' DAY AS culture_at
    FROM orders
    LEFT JOIN encounter_moves AS m ON orders.encounter_id = m.encounter_id AND orders.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, orders.patient_id) = i.old_patient_id
    LEFT JOIN codes.culture_orders AS listed
        ON
            upper(orders.code) = listed.code
            AND (orders.code_system = listed.code_system OR listed.code_system = 'local')
    WHERE
        (listed.code IS NOT NULL OR orders.category IN ('MB', 'MCB', 'MYC', 'VR'))
        AND coalesce(orders.order_control, 'NW') NOT IN ('CA', 'OC', 'CR', 'UC')
        AND coalesce(orders.result_status, 'F') <> 'X'
),

antibiotics AS (
    SELECT
        patient_id,
        encounter_id,
        drug,
        started_at
    FROM medication_list
    WHERE family = 'antibiotic' AND state <> 'cancelled' AND started_at IS NOT NULL
),

pairs AS (
    SELECT
        cultures.patient_id,
        cultures.encounter_id,
        cultures.culture_at,
        antibiotics.started_at AS antibiotic_at,
        antibiotics.drug AS antibiotic,
        CASE
            WHEN cultures.culture_at <= antibiotics.started_at THEN cultures.culture_at
            ELSE antibiotics.started_at
        END AS suspected_at
    FROM cultures
    INNER JOIN antibiotics
        ON
            cultures.patient_id = antibiotics.patient_id
            AND cultures.encounter_id = antibiotics.encounter_id
            AND cultures.culture_at >= antibiotics.started_at - INTERVAL '72' HOUR
            AND cultures.culture_at <= antibiotics.started_at + INTERVAL '24' HOUR
),

ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY patient_id, encounter_id, suspected_at
            ORDER BY antibiotic_at ASC, culture_at ASC, antibiotic ASC
        ) AS nth
    FROM pairs
)

SELECT
    patient_id,
    encounter_id,
    suspected_at,
    culture_at,
    antibiotic_at,
    antibiotic
FROM ranked
WHERE nth = 1

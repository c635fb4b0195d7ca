-- title: Cohort: sepsis, candidates by Sepsis-3
-- description: Visits with a suspected infection and a SOFA of 2 or more around it. An infection is suspected when an
--   antibiotic starts within 72 hours after a culture, or a culture is taken within 24 hours after an antibiotic; its
--   time is the earlier of the two. Every suspicion of the visit is looked at, and the first that qualifies is shown.
--   The SOFA is the highest of the days of the visit that touch the time from 48 hours before to 24 hours after; a SOFA
--   of 0 is taken for the time before, as Sepsis-3 does where none is known.
-- grain: patient_id, encounter_id
-- source: Singer, JAMA 2016;315:801; Seymour, JAMA 2016;315:762
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column suspected_at: Time of the suspected infection; the first of the visit with such a SOFA
-- column culture_at: When the culture was taken
-- column antibiotic_at: When the antibiotic began
-- column antibiotic: The antibiotic
-- column sofa: Highest SOFA around the time
-- column sofa_day_start: Start of the day with it
-- column sofa_n_missing: Organs that this SOFA could not judge, of six: with missing organs it is a lower bound
-- column qsofa: Highest qSOFA around the time
-- column highest_lactate: Highest lactate around the time, mmol/L
-- column sepsis_diagnosis: Whether the visit has a diagnosis of sepsis
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
),

failing AS (
    SELECT
        ranked.patient_id,
        ranked.encounter_id,
        ranked.suspected_at,
        ranked.culture_at,
        ranked.antibiotic_at,
        ranked.antibiotic,
        sofa.score AS sofa,
        sofa.day_start AS sofa_day_start,
        sofa.n_missing AS sofa_n_missing,
        row_number() OVER (
            PARTITION BY ranked.patient_id, ranked.encounter_id
            ORDER BY ranked.suspected_at ASC, sofa.score DESC, sofa.day_start ASC
        ) AS nth
    FROM ranked
    INNER JOIN sofa
        ON
            ranked.patient_id = sofa.patient_id
            AND ranked.encounter_id = sofa.encounter_id
            AND ranked.suspected_at + INTERVAL '24' HOUR >= sofa.day_start
            AND ranked.suspected_at - INTERVAL '72' HOUR < sofa.day_start
    WHERE ranked.nth = 1 AND sofa.score >= 2
),

septic AS (
    SELECT *
    FROM failing
    WHERE nth = 1
),

quick AS (
    SELECT
        septic.patient_id,
        septic.encounter_id,
        max(qsofa.score) AS qsofa
    FROM septic
    INNER JOIN qsofa
        ON
            septic.patient_id = qsofa.patient_id
            AND septic.encounter_id = qsofa.encounter_id
            AND qsofa.measured_at >= septic.suspected_at - INTERVAL '48' HOUR
            AND qsofa.measured_at <= septic.suspected_at + INTERVAL '24' HOUR
    GROUP BY septic.patient_id, septic.encounter_id
),

lactates AS (
    SELECT
        septic.patient_id,
        septic.encounter_id,
        max(acute_values.lactate) AS highest_lactate
    FROM septic
    INNER JOIN acute_values
        ON
            septic.patient_id = acute_values.patient_id
            AND septic.encounter_id = acute_values.encounter_id
            AND acute_values.measured_at >= septic.suspected_at - INTERVAL '48' HOUR
            AND acute_values.measured_at <= septic.suspected_at + INTERVAL '24' HOUR
    WHERE acute_values.lactate IS NOT NULL
    GROUP BY septic.patient_id, septic.encounter_id
),

diagnosed AS (
    SELECT DISTINCT
        patient_id,
        encounter_id
    FROM patient_condition_groups
    WHERE condition = 'sepsis'
)

SELECT
    septic.patient_id,
    septic.encounter_id,
    septic.suspected_at,
    septic.culture_at,
    septic.antibiotic_at,
    septic.antibiotic,
    septic.sofa,
    septic.sofa_day_start,
    septic.sofa_n_missing,
    quick.qsofa,
    lactates.highest_lactate,
    diagnosed.patient_id IS NOT NULL AS sepsis_diagnosis
FROM septic
LEFT JOIN quick ON septic.patient_id = quick.patient_id AND septic.encounter_id = quick.encounter_id
LEFT JOIN lactates ON septic.patient_id = lactates.patient_id AND septic.encounter_id = lactates.encounter_id
LEFT JOIN diagnosed ON septic.patient_id = diagnosed.patient_id AND septic.encounter_id = diagnosed.encounter_id

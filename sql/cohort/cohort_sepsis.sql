-- title: Cohort: sepsis, candidates by Sepsis-3
-- description: Visits with a suspected infection and a SOFA of 2 or more around it. An infection is suspected when an
--   antibiotic starts within 72 hours after a culture, or a culture is taken within 24 hours after an antibiotic
--   (suspected_infections). The SOFA is the highest of the days of the visit that touch the time from 48 hours before
--   to 24 hours after; a SOFA of 0 is taken for the time before, as Sepsis-3 does where none is known.
-- grain: patient_id, encounter_id
-- reading: infection_measurements for measured_values through acute_values, qsofa, sofa
-- source: Singer, JAMA 2016;315:801; Seymour, JAMA 2016;315:762
-- column encounter_id: pseudonym of the visit; null where none is known
-- column suspected_at: time of the suspected infection; the first of the visit with such a SOFA
-- column sofa: highest SOFA around the time
-- column sofa_day_start: start of the day with it
-- column sofa_n_missing: organs that this SOFA could not judge, of six: with missing organs it is a lower bound
-- column qsofa: highest qSOFA around the time
-- column highest_lactate: highest lactate around the time, mmol/L
-- column sepsis_diagnosis: whether the visit has a diagnosis of sepsis

-- Every suspicion of the visit is looked at, and the first that qualifies is shown.
WITH failing AS (
    SELECT
        i.patient_id,
        i.encounter_id,
        i.suspected_at,
        i.culture_at,
        i.antibiotic_at,
        i.antibiotic,
        sofa.score AS sofa,
        sofa.day_start AS sofa_day_start,
        sofa.n_missing AS sofa_n_missing,
        row_number() OVER (
            PARTITION BY i.patient_id, i.encounter_id
            ORDER BY i.suspected_at ASC, sofa.score DESC, sofa.day_start ASC
        ) AS nth
    FROM suspected_infections AS i
    INNER JOIN sofa
        ON
            i.patient_id = sofa.patient_id
            AND i.encounter_id = sofa.encounter_id
            AND i.suspected_at + INTERVAL '24' HOUR >= sofa.day_start
            AND i.suspected_at - INTERVAL '72' HOUR < sofa.day_start
    WHERE sofa.score >= 2
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

sepsis_diagnoses AS (
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
    sepsis_diagnoses.patient_id IS NOT NULL AS sepsis_diagnosis
FROM septic
LEFT JOIN quick ON septic.patient_id = quick.patient_id AND septic.encounter_id = quick.encounter_id
LEFT JOIN lactates ON septic.patient_id = lactates.patient_id AND septic.encounter_id = lactates.encounter_id
LEFT JOIN sepsis_diagnoses
    ON septic.patient_id = sepsis_diagnoses.patient_id AND septic.encounter_id = sepsis_diagnoses.encounter_id

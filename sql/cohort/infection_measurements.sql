-- title: Measured values where an infection is suspected
-- description: Results and vital signs of the visits with a suspected infection, the others left out. SOFA and qSOFA
--   over these are those that the cohort of sepsis asks for, without those of all other visits.
-- grain: record_id, ordinal
-- source: measured_values, suspected_infections
-- column encounter_id: pseudonym of the visit
WITH visits AS (
    SELECT DISTINCT
        patient_id,
        encounter_id
    FROM suspected_infections
)

SELECT
    m.record_id,
    m.ordinal,
    m.patient_id,
    m.encounter_id,
    m.analyte,
    m.value,
    m.second_value,
    m.comparator,
    m.answer,
    m.observed_at,
    m.plausible,
    m.second_plausible
FROM measured_values AS m
INNER JOIN visits AS v ON m.patient_id = v.patient_id AND m.encounter_id = v.encounter_id

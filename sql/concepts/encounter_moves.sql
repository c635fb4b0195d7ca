-- title: Visits moved to another patient
-- description: Every visit that was moved from one patient to another, with the patient it was moved to in the end.
--   Whether that patient was merged into another one later is for identity_changes to say.
-- grain: encounter_id, old_patient_id
-- source: HL7 v2.9 ch. 3.3.45: A45 moves a visit.
-- column old_patient_id: patient under whom the visit was recorded
-- column patient_id: patient to whom it was moved
-- column offset_days: days to add to a time of the visit as recorded
WITH moves AS (
    SELECT
        encounter_id,
        old_patient_id,
        patient_id,
        coalesce(offset_days, 0) AS offset_days
    FROM patient_links
    WHERE kind = 'move-encounter' AND encounter_id IS NOT NULL AND patient_id <> old_patient_id
    QUALIFY row_number() OVER (
        PARTITION BY encounter_id, old_patient_id
        ORDER BY
            linked_at - coalesce(offset_days, 0) * INTERVAL '1' DAY DESC NULLS LAST,
            record_id DESC NULLS LAST,
            ordinal DESC NULLS LAST
    ) = 1
)

-- A visit moved on from the second patient to a third is the third's.
SELECT
    a.encounter_id,
    a.old_patient_id,
    coalesce(b.patient_id, a.patient_id) AS patient_id,
    a.offset_days + coalesce(b.offset_days, 0) AS offset_days
FROM moves AS a
LEFT JOIN moves AS b ON a.encounter_id = b.encounter_id AND a.patient_id = b.old_patient_id

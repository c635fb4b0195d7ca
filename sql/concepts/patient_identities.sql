-- title: Patient identities
-- description: Every patient identity that any record names, with the surviving identity that it belongs to today.
-- grain: old_patient_id
-- column old_patient_id: identity as the tables have it
-- column patient_id: identity that survives; the same where nothing was merged
-- column offset_days: days to add to a time of the old identity to lay it on the survivor's line; 0 for its own
WITH named AS (
    SELECT patient_id FROM patients
    UNION
    SELECT patient_id FROM records
    UNION
    SELECT patient_id FROM patient_links
    UNION
    SELECT old_patient_id AS patient_id FROM patient_links
)

SELECT
    n.patient_id AS old_patient_id,
    coalesce(i.patient_id, n.patient_id) AS patient_id,
    coalesce(i.offset_days, 0) AS offset_days
FROM named AS n
LEFT JOIN identity_changes AS i ON n.patient_id = i.old_patient_id
WHERE n.patient_id IS NOT NULL

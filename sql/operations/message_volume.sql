-- title: Message volume
-- description: Records by type, sender and hour of the day, in the sender's own clock. The hour outlives the shift of
--   dates, so this works under every profile. Repeated records count once.
-- grain: format, record_type, sender_application, sender_facility, hour
-- cells: n_patients (n_messages, share)
-- column hour: 0 to 23; null where the record has no time
-- column n_messages: records, each counted once
-- column n_repeated: further copies of them (see repeated_records)
-- column n_patients: distinct patients
-- column share: percent of all records of that type and sender
WITH totals AS (
    SELECT
        r.format,
        r.record_type,
        r.sender_application,
        r.sender_facility,
        r.recorded_hour AS hour,
        count(*) - count(d.record_id) AS n_messages,
        count(d.record_id) AS n_repeated,
        count(DISTINCT r.patient_id) AS n_patients
    FROM records AS r
    LEFT JOIN repeated_records AS d ON r.record_id = d.record_id
    GROUP BY r.format, r.record_type, r.sender_application, r.sender_facility, r.recorded_hour
)

SELECT
    format,
    record_type,
    sender_application,
    sender_facility,
    hour,
    n_messages,
    n_repeated,
    n_patients,
    100.0 * n_messages
    / nullif(sum(n_messages) OVER (PARTITION BY format, record_type, sender_application, sender_facility), 0) AS share
FROM totals

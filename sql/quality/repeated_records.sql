-- title: Repeated records
-- description: Records that repeat an earlier one: the same sender sent the same number for the same patient and the
--   same kind of record once more. The first stays; counts leave the others out.
-- grain: record_id
-- source: HL7 v2.9 ch. 2.14.9.10: MSH-10 names a message of a sender.
-- column nth: 2 for the first repetition
WITH numbers AS (
    SELECT
        sender_application,
        sender_facility,
        control_id
    FROM records
    WHERE control_id IS NOT NULL
    GROUP BY sender_application, sender_facility, control_id
    HAVING count(*) > 1
),

ranked AS (
    SELECT
        r.record_id,
        r.format,
        r.record_type,
        r.sender_application,
        r.sender_facility,
        r.patient_id,
        r.recorded_at,
        row_number() OVER (
            PARTITION BY r.sender_application, r.sender_facility, r.control_id, r.record_type, r.patient_id
            ORDER BY r.recorded_at NULLS LAST, r.record_id
        ) AS nth
    FROM records AS r
    INNER JOIN numbers AS n
        ON
            r.control_id = n.control_id
            AND r.sender_application IS NOT DISTINCT FROM n.sender_application
            AND r.sender_facility IS NOT DISTINCT FROM n.sender_facility
)

SELECT
    record_id,
    format,
    record_type,
    sender_application,
    sender_facility,
    patient_id,
    recorded_at,
    nth
FROM ranked
WHERE nth > 1

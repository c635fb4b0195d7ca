-- title: Conformance
-- description: How many records of each sender and version pass each rule, those that all of them pass included. All
--   records count, stored or not; one that a replay has stored since counts as what it is now. Faults of whole files
--   have no sender: they are in open_rejects.
-- grain: rule, level, sender_application, sender_facility, version
-- source: records, open_rejects and codes.quality_rules
-- column level: record (not stored), row (row not stored), warning (stored)
-- column version: version of HL7 that the message names
-- column n_records: records of the sender in that version
-- column n_failed: records among them that break the rule
-- column n_faults: faults in them
-- column pass_rate: percent of records that pass
WITH faults AS (
    SELECT
        format,
        rule,
        level,
        sender_application,
        sender_facility,
        version,
        concat(file_id, '/', cast(record_ordinal AS VARCHAR)) AS place
    FROM open_rejects
    WHERE record_ordinal >= 0
),

refused AS (
    SELECT
        format,
        sender_application,
        sender_facility,
        version,
        count(DISTINCT place) AS n
    FROM faults
    WHERE level = 'record'
    GROUP BY format, sender_application, sender_facility, version
),

totals AS (
    SELECT
        format,
        sender_application,
        sender_facility,
        version,
        count(*) AS n
    FROM records
    GROUP BY format, sender_application, sender_facility, version
    UNION ALL
    SELECT
        format,
        sender_application,
        sender_facility,
        version,
        n
    FROM refused
),

senders AS (
    SELECT
        format,
        sender_application,
        sender_facility,
        version,
        cast(sum(n) AS BIGINT) AS n_records
    FROM totals
    GROUP BY format, sender_application, sender_facility, version
),

rules AS (
    SELECT
        format,
        rule,
        level
    FROM codes.quality_rules
    UNION
    SELECT
        format,
        rule,
        level
    FROM faults
),

broken AS (
    SELECT
        rule,
        level,
        sender_application,
        sender_facility,
        version,
        count(*) AS n_faults,
        count(DISTINCT place) AS n_failed
    FROM faults
    GROUP BY rule, level, sender_application, sender_facility, version
)

SELECT
    r.rule,
    r.level,
    s.sender_application,
    s.sender_facility,
    s.version,
    s.n_records,
    coalesce(b.n_failed, 0) AS n_failed,
    coalesce(b.n_faults, 0) AS n_faults,
    100.0 * (s.n_records - coalesce(b.n_failed, 0)) / s.n_records AS pass_rate
FROM senders AS s
INNER JOIN rules AS r ON s.format = r.format
LEFT JOIN broken AS b
    ON
        r.rule = b.rule
        AND r.level = b.level
        AND s.sender_application IS NOT DISTINCT FROM b.sender_application
        AND s.sender_facility IS NOT DISTINCT FROM b.sender_facility
        AND s.version IS NOT DISTINCT FROM b.version

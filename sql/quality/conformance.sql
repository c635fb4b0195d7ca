-- title: Conformance
-- description: How many records of each sender and version pass each rule. A rule appears for a sender and version as
--   soon as one record has broken it; all records of that sender and version count, stored or not.
-- grain: rule, level, sender_application, sender_facility, version
-- source: rejects and records
-- column level: record (not stored), row (row not stored), warning (stored)
-- column n_records: records of the sender in that version
-- column n_failed: records among them that broke the rule
-- column n_faults: faults in them
-- column pass_rate: percent of records that pass
WITH stored AS (
    SELECT
        sender_application,
        sender_facility,
        version,
        count(*) AS n_stored
    FROM records
    GROUP BY sender_application, sender_facility, version
),

refused AS (
    SELECT
        sender_application,
        sender_facility,
        version,
        count(DISTINCT concat(file_id, '/', cast(record_ordinal AS VARCHAR))) AS n_refused
    FROM rejects
    WHERE level = 'record'
    GROUP BY sender_application, sender_facility, version
),

faults AS (
    SELECT
        rule,
        level,
        sender_application,
        sender_facility,
        version,
        count(*) AS n_faults,
        count(DISTINCT concat(file_id, '/', cast(record_ordinal AS VARCHAR))) AS n_failed
    FROM rejects
    GROUP BY rule, level, sender_application, sender_facility, version
)

SELECT
    f.rule,
    f.level,
    f.sender_application,
    f.sender_facility,
    f.version,
    coalesce(s.n_stored, 0) + coalesce(r.n_refused, 0) AS n_records,
    f.n_failed,
    f.n_faults,
    100.0 * (coalesce(s.n_stored, 0) + coalesce(r.n_refused, 0) - f.n_failed)
    / nullif(coalesce(s.n_stored, 0) + coalesce(r.n_refused, 0), 0) AS pass_rate
FROM faults AS f
LEFT JOIN stored AS s
    ON
        f.sender_application IS NOT DISTINCT FROM s.sender_application
        AND f.sender_facility IS NOT DISTINCT FROM s.sender_facility
        AND f.version IS NOT DISTINCT FROM s.version
LEFT JOIN refused AS r
    ON
        f.sender_application IS NOT DISTINCT FROM r.sender_application
        AND f.sender_facility IS NOT DISTINCT FROM r.sender_facility
        AND f.version IS NOT DISTINCT FROM r.version

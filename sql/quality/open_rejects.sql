-- title: Open rejects
-- description: What is not stored and why, as of today: files of no known format or that could not be read to the end,
--   records, and rows of stored records; besides, warnings about what is stored. What a replay or a later ingest has
--   stored since is left out; the table rejects keeps it.
-- grain: file_id, record_ordinal, rule, location, level
-- source: rejects and ingest_files
-- column file_id: keyed id of the source file
-- column level: file (not stored, or not to its end), record (not stored), row (not stored), warning (stored)
-- column ingest_id: the ingest that met it
-- column format: format that the file was read as; null where none was recognised
WITH settled AS (
    SELECT
        file_id,
        record_ordinal,
        rule,
        location
    FROM rejects
    WHERE level = 'settled'
),

known AS (
    SELECT DISTINCT file_id
    FROM ingest_files
    WHERE status <> 'not-recognised'
),

-- What was said of a file when it was tried in vain is settled once it is read as what it is.
outdated AS (
    SELECT
        f.ingest_id,
        f.file_id
    FROM ingest_files AS f
    INNER JOIN known AS k ON f.file_id = k.file_id
    WHERE f.status = 'not-recognised'
),

noted AS (
    SELECT
        r.ingest_id,
        r.file_id,
        r.record_ordinal,
        r.byte_offset,
        CASE WHEN r.record_ordinal = -1 AND r.level = 'record' THEN 'file' ELSE r.level END AS level,
        r.rule,
        r.location,
        r.message,
        r.format,
        r.record_type,
        r.version,
        r.sender_application,
        r.sender_facility
    FROM rejects AS r
    LEFT JOIN settled AS s
        ON
            r.file_id = s.file_id
            AND r.record_ordinal = s.record_ordinal
            AND r.rule = s.rule
            AND coalesce(r.location, '') = coalesce(s.location, '')
    LEFT JOIN outdated AS o ON r.file_id = o.file_id AND r.ingest_id = o.ingest_id
    WHERE r.level <> 'settled' AND s.rule IS NULL AND o.file_id IS NULL
),

unrecognised AS (
    SELECT
        f.file_id,
        min(f.ingest_id) AS ingest_id
    FROM ingest_files AS f
    LEFT JOIN known AS k ON f.file_id = k.file_id
    WHERE f.status = 'not-recognised' AND k.file_id IS NULL
    GROUP BY f.file_id
)

SELECT
    ingest_id,
    file_id,
    record_ordinal,
    byte_offset,
    level,
    rule,
    location,
    message,
    format,
    record_type,
    version,
    sender_application,
    sender_facility
FROM noted
UNION ALL
SELECT
    ingest_id,
    file_id,
    -1 AS record_ordinal,
    NULL AS byte_offset,
    'file' AS level,
    'file.not-recognised' AS rule,
    NULL AS location,
    'Of no known format: nothing of it is stored.' AS message,
    NULL AS format,
    NULL AS record_type,
    NULL AS version,
    NULL AS sender_application,
    NULL AS sender_facility
FROM unrecognised

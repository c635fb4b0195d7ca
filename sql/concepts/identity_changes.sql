-- title: Merged and linked identities
-- description: Every patient identity that is no longer the one to use, with the identity at the end of its chain of
--   merges and links (up to sixteen in a row) and the days that lay its times on that one's line.
-- grain: old_patient_id
-- source: HL7 v2.9 ch. 3.6.2: A18, A24, A30, A34 and A40 join two identities, A37 parts them.
-- column old_patient_id: identity that was merged or linked into another
-- column patient_id: identity that survives, after all later merges
-- column offset_days: days to add to a time of the old identity
WITH statements AS (
    SELECT
        record_id,
        ordinal,
        patient_id AS new_id,
        old_patient_id AS old_id,
        coalesce(kind, 'merge') AS kind,
        coalesce(offset_days, 0) AS offset_days,
        -- linked_at lies on the survivor's line: compare statements on a line that they share
        linked_at - coalesce(offset_days, 0) * INTERVAL '1' DAY AS linked_at_old_line,
        CASE
            WHEN patient_id < old_patient_id THEN linked_at
            ELSE linked_at - coalesce(offset_days, 0) * INTERVAL '1' DAY
        END AS linked_at_first_line
    FROM patient_links
    WHERE patient_id <> old_patient_id AND coalesce(kind, 'merge') IN ('merge', 'link', 'unlink')
),

-- Of two identities, the last word counts: it may part them again, or turn the merge round.
standing AS (
    SELECT *
    FROM statements
    QUALIFY row_number() OVER (
        PARTITION BY least(new_id, old_id), greatest(new_id, old_id)
        ORDER BY linked_at_first_line DESC NULLS LAST, record_id DESC NULLS LAST, ordinal DESC NULLS LAST
    ) = 1
),

ranked AS (
    SELECT
        old_id,
        new_id,
        offset_days,
        kind,
        row_number() OVER (
            PARTITION BY old_id
            ORDER BY linked_at_old_line DESC NULLS LAST, record_id DESC NULLS LAST, ordinal DESC NULLS LAST
        ) AS newest
    FROM standing
    WHERE kind <> 'unlink'
),

-- One identity linked to two others joins all three: the other one follows the latest,
-- unless it has gone elsewhere itself.
bridged AS (
    SELECT
        other.new_id AS old_id,
        latest.new_id,
        latest.offset_days - other.offset_days AS offset_days
    FROM ranked AS other
    INNER JOIN ranked AS latest ON other.old_id = latest.old_id
    LEFT JOIN ranked AS own ON other.new_id = own.old_id
    WHERE
        other.kind = 'link'
        AND other.newest > 1
        AND latest.newest = 1
        AND other.new_id <> latest.new_id
        AND own.old_id IS NULL
    QUALIFY row_number() OVER (PARTITION BY other.new_id ORDER BY other.newest, latest.new_id) = 1
),

steps_1 AS (
    SELECT
        old_id,
        new_id,
        offset_days,
        new_id AS first_id,
        offset_days AS first_offset
    FROM ranked
    WHERE newest = 1
    UNION ALL
    SELECT
        old_id,
        new_id,
        offset_days,
        new_id AS first_id,
        offset_days AS first_offset
    FROM bridged
),

-- Each step doubles the length of chain that is followed; first_* is the identity on the way that sorts first.
steps_2 AS (
    SELECT
        a.old_id,
        coalesce(b.new_id, a.new_id) AS new_id,
        a.offset_days + coalesce(b.offset_days, 0) AS offset_days,
        CASE WHEN b.first_id < a.first_id THEN b.first_id ELSE a.first_id END AS first_id,
        CASE WHEN b.first_id < a.first_id THEN a.offset_days + b.first_offset ELSE a.first_offset END AS first_offset
    FROM steps_1 AS a
    LEFT JOIN steps_1 AS b ON a.new_id = b.old_id
),

steps_4 AS (
    SELECT
        a.old_id,
        coalesce(b.new_id, a.new_id) AS new_id,
        a.offset_days + coalesce(b.offset_days, 0) AS offset_days,
        CASE WHEN b.first_id < a.first_id THEN b.first_id ELSE a.first_id END AS first_id,
        CASE WHEN b.first_id < a.first_id THEN a.offset_days + b.first_offset ELSE a.first_offset END AS first_offset
    FROM steps_2 AS a
    LEFT JOIN steps_2 AS b ON a.new_id = b.old_id
),

steps_8 AS (
    SELECT
        a.old_id,
        coalesce(b.new_id, a.new_id) AS new_id,
        a.offset_days + coalesce(b.offset_days, 0) AS offset_days,
        CASE WHEN b.first_id < a.first_id THEN b.first_id ELSE a.first_id END AS first_id,
        CASE WHEN b.first_id < a.first_id THEN a.offset_days + b.first_offset ELSE a.first_offset END AS first_offset
    FROM steps_4 AS a
    LEFT JOIN steps_4 AS b ON a.new_id = b.old_id
),

steps_16 AS (
    SELECT
        a.old_id,
        coalesce(b.new_id, a.new_id) AS new_id,
        a.offset_days + coalesce(b.offset_days, 0) AS offset_days,
        CASE WHEN b.first_id < a.first_id THEN b.first_id ELSE a.first_id END AS first_id,
        CASE WHEN b.first_id < a.first_id THEN a.offset_days + b.first_offset ELSE a.first_offset END AS first_offset
    FROM steps_8 AS a
    LEFT JOIN steps_8 AS b ON a.new_id = b.old_id
),

-- A chain that still goes on after sixteen steps goes in a circle, and nothing says who survives:
-- the identity that sorts first in the circle does, the same one for all of them.
survivors AS (
    SELECT
        a.old_id,
        coalesce(circle.first_id, a.new_id) AS patient_id,
        a.offset_days + coalesce(circle.first_offset, 0) AS offset_days
    FROM steps_16 AS a
    LEFT JOIN steps_16 AS circle ON a.new_id = circle.old_id
)

SELECT
    old_id AS old_patient_id,
    patient_id,
    offset_days
FROM survivors
WHERE old_id <> patient_id

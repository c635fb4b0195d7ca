-- title: Merged and linked identities
-- description: Every patient identity that is no longer the one to use, with the identity at the end of its chain of
--   merges and links (up to fifteen in a row) and the days that lay its times on that one's line.
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
        *,
        row_number() OVER latest_first AS newest,
        first_value(new_id) OVER latest_first AS latest_id,
        first_value(offset_days) OVER latest_first AS latest_offset
    FROM standing
    WHERE kind <> 'unlink'
    WINDOW latest_first AS (
        PARTITION BY old_id
        ORDER BY linked_at_old_line DESC NULLS LAST, record_id DESC NULLS LAST, ordinal DESC NULLS LAST
    )
),

-- The latest merge or link of an identity counts. One that was linked to two others joins all three:
-- the other one follows the latest, unless it has gone elsewhere itself.
steps_1 AS (
    SELECT
        CASE WHEN newest = 1 THEN old_id ELSE new_id END AS old_id,
        latest_id AS new_id,
        CASE WHEN newest = 1 THEN offset_days ELSE latest_offset - offset_days END AS offset_days,
        latest_id AS first_id,
        CASE WHEN newest = 1 THEN offset_days ELSE latest_offset - offset_days END AS first_offset,
        FALSE AS ended
    FROM ranked
    WHERE newest = 1 OR (kind = 'link' AND new_id <> latest_id)
    QUALIFY row_number() OVER (
        PARTITION BY CASE WHEN newest = 1 THEN old_id ELSE new_id END ORDER BY newest, latest_id
    ) = 1
),

-- Each step doubles the length of chain that is followed; first_* is the identity on the way that sorts first.
steps_2 AS (
    SELECT
        a.old_id,
        coalesce(b.new_id, a.new_id) AS new_id,
        a.offset_days + coalesce(b.offset_days, 0) AS offset_days,
        CASE WHEN b.first_id < a.first_id THEN b.first_id ELSE a.first_id END AS first_id,
        CASE WHEN b.first_id < a.first_id THEN a.offset_days + b.first_offset ELSE a.first_offset END AS first_offset,
        coalesce(b.ended, TRUE) AS ended
    FROM steps_1 AS a
    LEFT JOIN steps_1 AS b ON a.new_id = b.old_id
),

steps_4 AS (
    SELECT
        a.old_id,
        coalesce(b.new_id, a.new_id) AS new_id,
        a.offset_days + coalesce(b.offset_days, 0) AS offset_days,
        CASE WHEN b.first_id < a.first_id THEN b.first_id ELSE a.first_id END AS first_id,
        CASE WHEN b.first_id < a.first_id THEN a.offset_days + b.first_offset ELSE a.first_offset END AS first_offset,
        coalesce(b.ended, TRUE) AS ended
    FROM steps_2 AS a
    LEFT JOIN steps_2 AS b ON a.new_id = b.old_id
),

steps_8 AS (
    SELECT
        a.old_id,
        coalesce(b.new_id, a.new_id) AS new_id,
        a.offset_days + coalesce(b.offset_days, 0) AS offset_days,
        CASE WHEN b.first_id < a.first_id THEN b.first_id ELSE a.first_id END AS first_id,
        CASE WHEN b.first_id < a.first_id THEN a.offset_days + b.first_offset ELSE a.first_offset END AS first_offset,
        coalesce(b.ended, TRUE) AS ended
    FROM steps_4 AS a
    LEFT JOIN steps_4 AS b ON a.new_id = b.old_id
),

-- A chain that still goes on goes in a circle, and nothing says who survives: the identity that sorts
-- first in the circle does, the same one for all of them.
survivors AS (
    SELECT
        a.old_id,
        CASE WHEN b.old_id IS NULL THEN a.new_id WHEN b.ended THEN b.new_id ELSE b.first_id END AS patient_id,
        a.offset_days + CASE
            WHEN b.old_id IS NULL THEN 0
            WHEN b.ended THEN b.offset_days
            ELSE b.first_offset
        END AS offset_days
    FROM steps_8 AS a
    LEFT JOIN steps_8 AS b ON a.new_id = b.old_id
)

SELECT
    old_id AS old_patient_id,
    patient_id,
    offset_days
FROM survivors
WHERE old_id <> patient_id

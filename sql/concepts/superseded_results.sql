-- title: Superseded results
-- description: Statements of results and vital signs that a later statement of the same result took the place of.
--   Order, code, sub-id and time name a result, since one order may be measured many times. A correction or deletion
--   (OBX-11 C, D, W) also takes back what it names without the time: where it has none of its own, everything stated of
--   that order, code and sub-id; where it has another time, the one result stated until then. Where several were stated
--   until then, nothing says which of them it means, and all stand beside it.
-- grain: record_id, ordinal
-- source: HL7 v2.9 ch. 7.4.2 and table 0085 (OBX-11).
-- column code: Code of the result as sent
-- column stated_at: When the record that states it was made
-- column is_superseded: Always true

-- Most results are stated once. Only where several records speak of one order and time, or one revises, is there
-- anything to sort.
WITH contested AS (
    SELECT
        patient_id,
        order_key,
        observed_at,
        max(CASE WHEN status IN ('corrected', 'deleted', 'wrong') THEN 1 ELSE 0 END) AS is_revised
    FROM result_statements
    WHERE order_key IS NOT NULL OR observed_at IS NOT NULL
    GROUP BY patient_id, order_key, observed_at
    HAVING
        min(record_id) <> max(record_id)
        OR (count(*) > 1 AND count(record_id) < count(*))
        OR max(CASE WHEN status IN ('corrected', 'deleted', 'wrong') THEN 1 ELSE 0 END) = 1
),

revised_orders AS (
    SELECT DISTINCT
        patient_id,
        order_key
    FROM contested
    WHERE is_revised = 1 AND order_key IS NOT NULL
),

in_doubt AS (
    SELECT
        s.patient_id,
        s.order_key,
        s.record_id,
        s.ordinal,
        s.code,
        s.code_system,
        s.sub_id,
        s.observed_at,
        s.stated_at,
        o.order_key IS NOT NULL AS is_in_revised_order,
        coalesce(s.status, 'final') IN ('corrected', 'deleted', 'wrong') AS revises,
        -- the time of the message stands in where neither OBX-14 nor OBR-7 tells one
        coalesce(s.observed_at = s.stated_at, TRUE) AS is_untimed
    FROM result_statements AS s
    LEFT JOIN contested AS c
        ON
            s.patient_id IS NOT DISTINCT FROM c.patient_id
            AND s.order_key IS NOT DISTINCT FROM c.order_key
            AND s.observed_at IS NOT DISTINCT FROM c.observed_at
    LEFT JOIN revised_orders AS o
        ON s.patient_id IS NOT DISTINCT FROM o.patient_id AND s.order_key = o.order_key
    WHERE
        (c.is_revised IS NOT NULL OR o.order_key IS NOT NULL)
        -- To be told that a result is awaited does not take back the one that is known.
        AND coalesce(s.status, 'final') NOT IN ('pending', 'ordered', 'not-asked')
),

ranked AS (
    SELECT
        record_id,
        ordinal,
        code,
        stated_at,
        -- rank, not row_number: a record that states one code several times (two cultures, two cuffs) keeps them all
        rank() OVER (
            PARTITION BY patient_id, order_key, code, code_system, sub_id, observed_at
            ORDER BY stated_at DESC NULLS LAST, record_id DESC NULLS LAST
        ) AS place
    FROM in_doubt
),

revisions AS (
    SELECT
        *,
        dense_rank() OVER (
            PARTITION BY patient_id, order_key, code, code_system, sub_id
            ORDER BY stated_at NULLS FIRST, record_id NULLS FIRST
        ) AS nth
    FROM in_doubt
    WHERE is_in_revised_order
),

-- What was stated before an untimed revision is gone, and no later one can mean it.
counted AS (
    SELECT
        *,
        coalesce(
            max(CASE WHEN revises AND is_untimed THEN nth END) OVER (
                PARTITION BY patient_id, order_key, code, code_system, sub_id
                ORDER BY nth
                RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), 0
        ) AS gone_until
    FROM revisions
),

judged AS (
    SELECT
        *,
        revises AND (
            is_untimed
            OR min(CASE WHEN NOT revises THEN observed_at END) OVER before_it
            IS NOT DISTINCT FROM max(CASE WHEN NOT revises THEN observed_at END) OVER before_it
        ) AS takes_all_back
    FROM counted
    WINDOW before_it AS (
        PARTITION BY patient_id, order_key, code, code_system, sub_id, gone_until
        ORDER BY nth
        RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),

taken_back AS (
    SELECT
        record_id,
        ordinal,
        code,
        stated_at,
        nth < max(CASE WHEN takes_all_back THEN nth END) OVER (
            PARTITION BY patient_id, order_key, code, code_system, sub_id
        ) AS is_gone
    FROM judged
)

SELECT
    record_id,
    ordinal,
    code,
    stated_at,
    TRUE AS is_superseded
FROM ranked
WHERE place > 1
UNION
SELECT
    record_id,
    ordinal,
    code,
    stated_at,
    TRUE AS is_superseded
FROM taken_back
WHERE is_gone

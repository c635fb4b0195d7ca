-- title: Superseded results
-- description: Statements of results and vital signs that a later statement of the same result took the place of.
--   Order, code, sub-id and time name a result, since one order may be measured many times. A correction or deletion
--   (OBX-11 C, D, W) also takes back what it names without the time: where it has none of its own, everything stated of
--   that order, code and sub-id; where it has another time, the one result stated until then.
-- grain: record_id, ordinal
-- source: HL7 v2.9 ch. 7.4.2 and table 0085 (OBX-11).
-- column code: code of the result as sent
-- column stated_at: when the record that states it was made
-- column is_superseded: always true

-- Not cut into concept views: a session keeps its rows, and nothing else reads one of its steps.
-- Where several were stated until then, nothing says which of them it means, and all stand beside it.
-- Most results are stated once. Only where several records speak of one order and time, one revises, or identities were
-- joined, is there anything to sort. To find that, all observations are looked at once, as they were recorded.
-- By the filler's number as it is stored, where there is one: to put it together with others takes longer.
WITH recorded AS (
    SELECT
        order_id AS result_of,
        observed_at,
        record_id,
        count(*) AS n_statements,
        max(CASE WHEN list_contains(['corrected', 'deleted', 'wrong'], status) THEN 1 ELSE 0 END) AS n_revised
    FROM observations
    WHERE order_id IS NOT NULL
    GROUP BY order_id, observed_at, record_id
    UNION ALL
    SELECT
        coalesce(placer_order_id, patient_id) AS result_of,
        observed_at,
        record_id,
        count(*) AS n_statements,
        max(CASE WHEN list_contains(['corrected', 'deleted', 'wrong'], status) THEN 1 ELSE 0 END) AS n_revised
    FROM observations
    WHERE order_id IS NULL
    GROUP BY coalesce(placer_order_id, patient_id), observed_at, record_id
),

in_question AS (
    SELECT
        result_of,
        observed_at,
        max(n_revised) AS n_revised
    FROM recorded
    GROUP BY result_of, observed_at
    HAVING count(*) > 1 OR max(n_revised) > 0 OR (sum(n_statements) > 1 AND count(record_id) < count(*))
),

in_question_or_corrected AS (
    SELECT
        result_of,
        n_revised
    FROM in_question
    UNION ALL
    SELECT
        coalesce(order_id, placer_order_id) AS result_of,
        1 AS n_revised
    FROM orders
    WHERE result_status = 'C'
),

contested_orders AS (
    SELECT
        result_of,
        max(n_revised) > 0 AS is_revised
    FROM in_question_or_corrected
    GROUP BY result_of
),

joined_identities AS (
    SELECT old_patient_id AS patient_id FROM identity_changes
    UNION
    SELECT patient_id FROM identity_changes
    UNION
    SELECT old_patient_id AS patient_id FROM encounter_moves
    UNION
    SELECT patient_id FROM encounter_moves
),

-- The few statements are taken out before anything else is asked of them.
contested AS (
    SELECT
        o.*,
        c.result_of,
        c.is_revised
    FROM observations AS o
    INNER JOIN contested_orders AS c ON o.order_id = c.result_of
    UNION ALL
    SELECT
        o.*,
        c.result_of,
        c.is_revised
    FROM observations AS o
    INNER JOIN contested_orders AS c ON coalesce(o.placer_order_id, o.patient_id) = c.result_of
    WHERE o.order_id IS NULL
    UNION ALL
    SELECT
        o.*,
        coalesce(o.order_id, o.placer_order_id, o.patient_id) AS result_of,
        FALSE AS is_revised
    FROM observations AS o
    INNER JOIN joined_identities AS j ON o.patient_id = j.patient_id
    LEFT JOIN contested_orders AS c ON coalesce(o.order_id, o.placer_order_id, o.patient_id) = c.result_of
    WHERE c.result_of IS NULL
),

-- As in result_statements. A time that is not contested itself, of an order of which another time is, has nothing to
-- sort.
statements AS (
    SELECT
        o.record_id,
        o.ordinal,
        o.code,
        o.code_system,
        o.sub_id,
        o.is_revised,
        coalesce(i.patient_id, m.patient_id, o.patient_id) AS patient_id,
        coalesce(o.order_id, o.placer_order_id) AS order_key,
        (coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0)) * INTERVAL '1' DAY AS shift,
        o.observed_at,
        o.stated_at,
        CASE
            WHEN x.order_key IS NOT NULL AND coalesce(o.stated_at <= x.stated_at, TRUE) THEN 'cancelled'
            WHEN y.order_key IS NOT NULL AND coalesce(o.status, 'final') = 'final' THEN 'corrected'
            ELSE coalesce(o.status, 'final')
        END AS status
    FROM contested AS o
    LEFT JOIN in_question AS t
        ON o.result_of = t.result_of AND o.observed_at IS NOT DISTINCT FROM t.observed_at
    LEFT JOIN joined_identities AS j ON o.patient_id = j.patient_id
    LEFT JOIN encounter_moves AS m ON o.encounter_id = m.encounter_id AND o.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, o.patient_id) = i.old_patient_id
    LEFT JOIN order_outcomes AS y
        ON
            coalesce(o.order_id, o.placer_order_id) = y.order_key
            AND o.record_id = y.record_id
            AND y.outcome = 'corrected'
    LEFT JOIN order_outcomes AS x
        ON coalesce(o.order_id, o.placer_order_id) = x.order_key AND x.outcome = 'cancelled'
    WHERE o.is_revised OR t.result_of IS NOT NULL OR j.patient_id IS NOT NULL
),

-- Of a panel that is stated again, most results are; of an order that is corrected, most are not.
stated_again AS (
    SELECT
        coalesce(order_key, patient_id) AS owner,
        code
    FROM statements
    GROUP BY coalesce(order_key, patient_id), code
    HAVING count(*) > 1
),

in_doubt AS (
    SELECT
        s.patient_id,
        s.order_key,
        s.is_revised,
        s.record_id,
        s.ordinal,
        s.code,
        s.code_system,
        s.sub_id,
        s.status,
        s.observed_at + s.shift AS observed_at,
        s.stated_at + s.shift AS stated_at,
        s.status IN ('corrected', 'deleted', 'wrong') AS revises,
        -- the time of the message stands in where neither OBX-14 nor OBR-7 tells one
        coalesce(s.observed_at = s.stated_at, TRUE) AS is_untimed
    FROM statements AS s
    INNER JOIN stated_again AS a
        ON
            coalesce(s.order_key, s.patient_id) IS NOT DISTINCT FROM a.owner
            AND s.code IS NOT DISTINCT FROM a.code
    WHERE
        (s.order_key IS NOT NULL OR s.observed_at IS NOT NULL)
        -- To be told that a result is awaited does not take back the one that is known.
        AND s.status NOT IN ('pending', 'ordered', 'not-asked')
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
        d.*,
        dense_rank() OVER (
            PARTITION BY d.patient_id, d.order_key, d.code, d.code_system, d.sub_id
            ORDER BY d.stated_at NULLS FIRST, d.record_id NULLS FIRST
        ) AS nth
    FROM in_doubt AS d
    WHERE d.order_key IS NOT NULL AND d.is_revised
),

-- What was stated before an untimed revision is gone, and no later one can mean it.
totals AS (
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

classified_statements AS (
    SELECT
        *,
        revises AND (
            is_untimed
            OR min(CASE WHEN NOT revises THEN observed_at END) OVER before_it
            IS NOT DISTINCT FROM max(CASE WHEN NOT revises THEN observed_at END) OVER before_it
        ) AS takes_all_back
    FROM totals
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
    FROM classified_statements
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

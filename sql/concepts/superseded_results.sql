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

-- Most results are stated once. Only where several records speak of one order and time, one revises, or identities were
-- joined, is there anything to sort.
WITH revised_orders AS (
    SELECT result_of
    FROM contested_results
    WHERE is_revised
    UNION
    SELECT coalesce(order_id, placer_order_id) AS result_of
    FROM orders
    WHERE result_status = 'C' AND coalesce(order_id, placer_order_id) IS NOT NULL
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

statements AS (
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
        o.result_of IS NOT NULL AND s.order_key IS NOT NULL AS is_in_revised_order,
        coalesce(s.status, 'final') IN ('corrected', 'deleted', 'wrong') AS revises,
        -- the time of the message stands in where neither OBX-14 nor OBR-7 tells one
        coalesce(s.observed_at = s.stated_at, TRUE) AS is_untimed
    FROM result_statements AS s
    LEFT JOIN contested_results AS c
        ON s.result_of = c.result_of AND s.recorded_observed_at IS NOT DISTINCT FROM c.recorded_observed_at
    LEFT JOIN revised_orders AS o ON s.result_of = o.result_of
    LEFT JOIN joined_identities AS j ON s.recorded_patient_id = j.patient_id
    WHERE
        (c.result_of IS NOT NULL OR o.result_of IS NOT NULL OR j.patient_id IS NOT NULL)
        AND (s.order_key IS NOT NULL OR s.observed_at IS NOT NULL)
        -- To be told that a result is awaited does not take back the one that is known.
        AND coalesce(s.status, 'final') NOT IN ('pending', 'ordered', 'not-asked')
),

-- Of a panel that is stated again, most results are; of an order that is corrected, most are not.
stated_again AS (
    SELECT
        patient_id,
        order_key,
        code,
        code_system,
        sub_id
    FROM statements
    GROUP BY patient_id, order_key, code, code_system, sub_id
    HAVING count(*) > 1
),

in_doubt AS (
    SELECT s.*
    FROM statements AS s
    INNER JOIN stated_again AS a
        ON
            s.patient_id IS NOT DISTINCT FROM a.patient_id
            AND s.order_key IS NOT DISTINCT FROM a.order_key
            AND s.code IS NOT DISTINCT FROM a.code
            AND s.code_system IS NOT DISTINCT FROM a.code_system
            AND s.sub_id IS NOT DISTINCT FROM a.sub_id
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

-- title: Superseded results
-- description: Statements of results and vital signs that a later statement of the same result took the place of.
-- grain: record_id, ordinal
-- source: HL7 v2.9 ch. 7.4.2: order, code and sub-id name a result; here also its time, since one order may be measured
--   many times.

-- Most results are stated once. Only where several records speak of one order and time is there anything to sort.
WITH contested AS (
    SELECT
        patient_id,
        order_key,
        observed_at
    FROM result_statements
    WHERE order_key IS NOT NULL OR observed_at IS NOT NULL
    GROUP BY patient_id, order_key, observed_at
    HAVING min(record_id) <> max(record_id) OR (count(*) > 1 AND count(record_id) < count(*))
),

ranked AS (
    SELECT
        s.record_id,
        s.ordinal,
        s.code,
        s.stated_at,
        -- rank, not row_number: a record that states one code several times (two cultures, two cuffs) keeps them all
        rank() OVER (
            PARTITION BY s.patient_id, s.order_key, s.code, s.code_system, s.sub_id, s.observed_at
            ORDER BY s.stated_at DESC NULLS LAST, s.record_id DESC NULLS LAST
        ) AS place
    FROM result_statements AS s
    INNER JOIN contested AS c
        ON
            s.patient_id IS NOT DISTINCT FROM c.patient_id
            AND s.order_key IS NOT DISTINCT FROM c.order_key
            AND s.observed_at IS NOT DISTINCT FROM c.observed_at
    -- To be told that a result is awaited does not take back the one that is known.
    WHERE coalesce(s.status, 'final') NOT IN ('pending', 'ordered', 'not-asked')
)

SELECT DISTINCT
    record_id,
    ordinal,
    code,
    stated_at,
    TRUE AS is_superseded
FROM ranked
WHERE place > 1

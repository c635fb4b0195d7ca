-- title: Outcomes of orders
-- description: What a laboratory said of an order as a whole: that its results are corrected (OBR-25 C), for the record
--   that says so, or that it was cancelled (X), by either of its numbers.
-- grain: order_key, record_id, outcome
-- source: HL7 v2.9 ch. 4.5.3.25 and table 0123 (OBR-25).
-- column order_key: the filler's order number, else the placer's
-- column outcome: corrected or cancelled
-- column stated_at: when the order was cancelled, as recorded: it takes the results with it that were stated until
--   then; null for a corrected one

-- The filler's number and the placer's name one order: whichever of them a record leaves out, the other one tells.
WITH cancellations AS (
    SELECT
        coalesce(order_id, placer_order_id) AS order_key,
        stated_at
    FROM orders
    WHERE result_status = 'X'
    UNION ALL
    SELECT
        placer_order_id AS order_key,
        stated_at
    FROM orders
    WHERE result_status = 'X' AND order_id IS NOT NULL
    UNION ALL
    SELECT
        o.order_id AS order_key,
        w.stated_at
    FROM orders AS w
    INNER JOIN orders AS o ON w.placer_order_id = o.placer_order_id
    WHERE w.result_status = 'X' AND w.order_id IS NULL
)

SELECT
    order_key,
    cast(NULL AS VARCHAR) AS record_id,
    'cancelled' AS outcome,
    max(stated_at) AS stated_at
FROM cancellations
WHERE order_key IS NOT NULL
GROUP BY order_key
UNION ALL
SELECT DISTINCT
    coalesce(order_id, placer_order_id) AS order_key,
    record_id,
    'corrected' AS outcome,
    cast(NULL AS TIMESTAMPTZ) AS stated_at
FROM orders
WHERE result_status = 'C' AND coalesce(order_id, placer_order_id) IS NOT NULL

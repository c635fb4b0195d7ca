-- title: Laboratory turnaround
-- description: How long the laboratory takes, by test and priority: from order to collection, to arrival, to the first
--   result, in minutes. Steps that no message tells, and those that would run backwards, are left out.
-- grain: code_system, code, category, priority
-- cells: n_patients (n_orders, median_to_collection, median_to_arrival, median_in_laboratory,
--   median_total, p90_total)
-- column category: section of the laboratory (HL7 table 0074)
-- column priority: S stat, A as soon as possible, R routine
-- column n_orders: orders with a result
-- column n_patients: distinct patients
-- column median_to_collection: median minutes from order to collection
-- column median_to_arrival: median minutes from collection to arrival
-- column median_in_laboratory: median minutes from arrival to the first result
-- column median_total: median minutes from order (else collection) to the first result
-- column p90_total: nine of ten were faster
-- column within_one_hour: percent with a result within 60 minutes of the order
WITH placed AS (
    SELECT
        coalesce(order_id, placer_order_id) AS order_key,
        patient_id,
        code,
        code_system,
        category,
        priority,
        ordered_at,
        observed_at,
        received_at,
        CASE
            WHEN result_status IN ('P', 'F', 'C', 'R', 'S', 'A') THEN coalesce(reported_at, stated_at)
        END AS resulted_at
    FROM orders
    WHERE coalesce(order_id, placer_order_id) IS NOT NULL
),

folded AS (
    SELECT
        order_key,
        patient_id,
        max(code) AS code,
        max(code_system) AS code_system,
        max(category) AS category,
        max(priority) AS priority,
        min(ordered_at) AS ordered_at,
        min(observed_at) AS collected_at,
        min(received_at) AS received_at,
        min(resulted_at) AS resulted_at
    FROM placed
    GROUP BY order_key, patient_id
    HAVING min(resulted_at) IS NOT NULL
),

timed AS (
    SELECT
        *,
        CASE WHEN collected_at >= ordered_at THEN date_diff('minute', ordered_at, collected_at) END AS to_collection,
        CASE WHEN received_at >= collected_at THEN date_diff('minute', collected_at, received_at) END AS to_arrival,
        CASE WHEN resulted_at >= received_at THEN date_diff('minute', received_at, resulted_at) END AS in_laboratory,
        CASE
            WHEN resulted_at >= coalesce(ordered_at, collected_at)
                THEN date_diff('minute', coalesce(ordered_at, collected_at), resulted_at)
        END AS total
    FROM folded
)

SELECT
    code_system,
    code,
    category,
    priority,
    count(*) AS n_orders,
    count(DISTINCT patient_id) AS n_patients,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY to_collection) AS median_to_collection,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY to_arrival) AS median_to_arrival,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY in_laboratory) AS median_in_laboratory,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY total) AS median_total,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY total) AS p90_total,
    100.0 * count(CASE WHEN total <= 60 THEN 1 END) / nullif(count(total), 0) AS within_one_hour
FROM timed
GROUP BY code_system, code, category, priority

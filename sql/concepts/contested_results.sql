-- title: Contested results
-- description: Orders and times of which several records speak, or one that revises: only there is anything to sort.
--   Read from the observations as they were recorded, before patients are merged and times are moved, for this is the
--   one look at all of them; what it misses for that, superseded_results adds.
-- grain: result_of, recorded_observed_at
-- column result_of: The filler's order number, else the placer's, else the patient as recorded
-- column recorded_observed_at: When it was observed, as recorded
-- column is_revised: Whether a statement corrects, deletes or calls wrong
WITH by_record AS (
    SELECT
        coalesce(order_id, placer_order_id, patient_id) AS result_of,
        observed_at AS recorded_observed_at,
        record_id,
        count(*) AS n_statements,
        max(CASE WHEN status IN ('corrected', 'deleted', 'wrong') THEN 1 ELSE 0 END) AS n_revised
    FROM observations
    GROUP BY coalesce(order_id, placer_order_id, patient_id), observed_at, record_id
)

SELECT
    result_of,
    recorded_observed_at,
    max(n_revised) = 1 AS is_revised
FROM by_record
GROUP BY result_of, recorded_observed_at
HAVING
    count(*) > 1
    OR (sum(n_statements) > 1 AND count(record_id) < count(*))
    OR max(n_revised) = 1

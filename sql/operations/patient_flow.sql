-- title: Patient flow
-- description: Who came to and left each unit, hour by hour; hours without a move are not shown.
-- grain: unit, hour
-- requires: calendar
-- cells: n_patients
-- column hour: beginning of the hour
-- column n_admitted: patients whose visit began on the unit
-- column n_transferred_in: patients who came from another unit
-- column n_transferred_out: patients who left for another unit
-- column n_discharged: patients whose visit ended on the unit
-- column net: patients more or fewer than an hour before
-- column n_patients: distinct patients who moved
WITH moves AS (
    SELECT
        unit,
        patient_id,
        date_trunc('hour', from_at) AS hour,
        CASE WHEN nth = 1 THEN 1 ELSE 0 END AS admitted,
        CASE WHEN nth > 1 THEN 1 ELSE 0 END AS transferred_in,
        0 AS transferred_out,
        0 AS discharged
    FROM unit_stays
    WHERE from_at IS NOT NULL
    UNION ALL
    SELECT
        unit,
        patient_id,
        date_trunc('hour', to_at) AS hour,
        0 AS admitted,
        0 AS transferred_in,
        CASE WHEN next_unit IS NOT NULL THEN 1 ELSE 0 END AS transferred_out,
        CASE WHEN next_unit IS NULL THEN 1 ELSE 0 END AS discharged
    FROM unit_stays
    WHERE to_at IS NOT NULL
)

SELECT
    unit,
    hour,
    cast(sum(admitted) AS BIGINT) AS n_admitted,
    cast(sum(transferred_in) AS BIGINT) AS n_transferred_in,
    cast(sum(transferred_out) AS BIGINT) AS n_transferred_out,
    cast(sum(discharged) AS BIGINT) AS n_discharged,
    cast(sum(admitted + transferred_in - transferred_out - discharged) AS BIGINT) AS net,
    count(DISTINCT patient_id) AS n_patients
FROM moves
GROUP BY unit, hour

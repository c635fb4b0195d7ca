-- title: Bed occupancy
-- description: Patients on each unit, hour by hour: how many at the end of the hour and how many at its fullest moment.
--   An hour in which nobody came or left is not shown; the one before it holds.
-- grain: unit, hour
-- requires: calendar
-- cells: n_patients
-- column unit: nursing unit
-- column hour: beginning of the hour
-- column n_patients: patients on the unit at the end of the hour
-- column peak: most patients at one time within the hour
-- column n_arrivals: patients who came within the hour
-- column n_departures: patients who left within the hour
WITH steps AS (
    SELECT
        unit,
        from_at AS moment,
        1 AS change
    FROM unit_stays
    WHERE from_at IS NOT NULL
    UNION ALL
    SELECT
        unit,
        to_at AS moment,
        -1 AS change
    FROM unit_stays
    WHERE from_at IS NOT NULL AND to_at IS NOT NULL
),

-- At one moment, departures come first: the bed is free for who comes.
running AS (
    SELECT
        unit,
        moment,
        change,
        sum(change) OVER unit_time AS present,
        row_number() OVER unit_time AS nth
    FROM steps
    WINDOW unit_time AS (PARTITION BY unit ORDER BY moment, change ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)

SELECT
    unit,
    date_trunc('hour', moment) AS hour,
    cast(arg_max(present, nth) AS BIGINT) AS n_patients,
    cast(max(present) AS BIGINT) AS peak,
    count(CASE WHEN change = 1 THEN 1 END) AS n_arrivals,
    count(CASE WHEN change = -1 THEN 1 END) AS n_departures
FROM running
GROUP BY unit, date_trunc('hour', moment)

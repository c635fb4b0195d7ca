-- title: Bed occupancy
-- description: Patients on each unit, hour by hour: how many at the end of the hour and how many at its fullest moment.
--   An hour in which nobody came or left is not shown; the one before it holds.
-- grain: unit, hour
-- requires: calendar
-- cells: n_patients
-- column hour: beginning of the hour
-- column n_patients: patients on the unit at the end of the hour
-- column peak: most patients at one time within the hour
-- column n_arrivals: patients who came within the hour
-- column n_departures: patients who left within the hour

-- One look at the stays for both ends of them.
WITH steps AS (
    SELECT
        s.unit,
        c.change,
        CASE c.change WHEN 1 THEN s.from_at ELSE s.to_at END AS moment
    FROM unit_stays AS s
    CROSS JOIN (VALUES (1), (-1)) AS c (change)
    WHERE s.from_at IS NOT NULL AND CASE c.change WHEN 1 THEN s.from_at ELSE s.to_at END IS NOT NULL
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

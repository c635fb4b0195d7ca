-- title: Early-warning trend
-- description: NEWS2 (SpO2 scale 1) and MEWS of each visit by clock hour of its observations, with what changed since
--   the hour before that has any, over 6 hours, and the worst of 24 hours. Hours without observations have no row.
-- grain: patient_id, encounter_id, hour_at
-- source: Royal College of Physicians, NEWS2, 2017; Subbe, QJM 2001;94:521
-- column hour_at: start of the hour
-- column hour_of_visit: hours since the admission, else since the first observation; 0 is the first
-- column n_observations: times in the hour at which NEWS2 was computed
-- column first_measured_at: first of these times
-- column last_measured_at: last of these times
-- column news2: last NEWS2 of the hour
-- column news2_highest: highest NEWS2 of the hour
-- column n_missing: inputs that the last NEWS2 of the hour lacks, of seven
-- column risk: risk of the last NEWS2 of the hour
-- column mews: last MEWS of the hour; null where none of its inputs was measured in it
-- column previous_hour_at: the hour before that has observations
-- column news2_change: news2 less that of the hour before
-- column news2_change_6h: news2 less the earliest within the 6 hours before; 0 where there is none
-- column news2_highest_24h: highest NEWS2 of the 24 hours up to the hour's end
-- column deteriorating: whether NEWS2 rose by 2 or more in 6 hours and is 5 or more
-- column variant: definition
WITH scores AS (
    SELECT
        *,
        date_trunc('hour', measured_at) AS hour_at
    FROM early_warning_scores
),

hours AS (
    SELECT
        patient_id,
        encounter_id,
        hour_at,
        count(*) AS n_observations,
        min(measured_at) AS first_measured_at,
        max(measured_at) AS last_measured_at,
        arg_max(news2_score, measured_at) AS news2,
        max(news2_score) AS news2_highest,
        arg_max(news2_n_missing, measured_at) AS n_missing,
        arg_max(news2_risk, measured_at) AS risk,
        -- The inputs of MEWS are among those of NEWS2, but its last time in the hour may be an earlier one. A score
        -- that is not known is one too: engines differ in whether arg_max passes over nulls.
        nullif(arg_max(coalesce(mews_score, -1), CASE WHEN is_mews THEN measured_at END), -1) AS mews
    FROM scores
    GROUP BY patient_id, encounter_id, hour_at
),

moving AS (
    SELECT
        *,
        lag(hour_at) OVER visit AS previous_hour_at,
        news2 - lag(news2) OVER visit AS news2_change,
        news2 - first_value(news2) OVER six_hours AS news2_change_6h,
        max(news2_highest) OVER day_before AS news2_highest_24h,
        min(hour_at) OVER visit_so_far AS first_hour_at
    FROM hours
    WINDOW
        visit AS (PARTITION BY patient_id, encounter_id ORDER BY hour_at),
        visit_so_far AS (
            PARTITION BY patient_id, encounter_id ORDER BY hour_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ),
        six_hours AS (
            PARTITION BY patient_id, encounter_id ORDER BY hour_at
            RANGE BETWEEN INTERVAL '6' HOUR PRECEDING AND CURRENT ROW
        ),
        day_before AS (
            PARTITION BY patient_id, encounter_id ORDER BY hour_at
            RANGE BETWEEN INTERVAL '23' HOUR PRECEDING AND CURRENT ROW
        )
)

SELECT
    moving.patient_id,
    moving.encounter_id,
    moving.hour_at,
    moving.n_observations,
    moving.first_measured_at,
    moving.last_measured_at,
    moving.news2,
    moving.news2_highest,
    moving.n_missing,
    moving.risk,
    moving.mews,
    moving.previous_hour_at,
    moving.news2_change,
    moving.news2_change_6h,
    moving.news2_highest_24h,
    'NEWS2 scale 1 and MEWS, last of the clock hour' AS variant,
    ceil(
        (
            epoch(moving.hour_at)
            - epoch(coalesce(least(encounters.admitted_at, moving.first_hour_at), moving.first_hour_at))
        ) / 3600.0
    )::BIGINT AS hour_of_visit,
    moving.news2 >= 5 AND moving.news2_change_6h >= 2 AS deteriorating
FROM moving
LEFT JOIN encounters_current AS encounters
    ON moving.patient_id = encounters.patient_id AND moving.encounter_id = encounters.encounter_id

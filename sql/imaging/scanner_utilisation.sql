-- title: Scanner utilisation by hour of day
-- description: Studies, series and instances of each device and hour of the day, on the sender's own clock. The hour is
--   that of the acquisition, else of the study; whole days by which dates may have moved do not change it.
-- grain: device_id, modality, hour
-- column device_id: pseudonym of the device; UNKNOWN where no instance names one
-- column modality: modality; UNKNOWN where an instance does not say
-- column hour: hour of the day, 0 to 23
-- column n_studies: studies with an instance in that hour
-- column n_series: series with an instance in that hour
-- column n_instances: instances acquired in that hour
-- column share_of_device: instances of this hour among all of the device and modality, 0 to 1
WITH timed AS (
    SELECT
        coalesce(device_id, 'UNKNOWN') AS device_id,
        coalesce(modality, 'UNKNOWN') AS modality,
        coalesce(acquired_hour, study_hour) AS hour_of_day,
        coalesce(study_uid, record_id) AS study_key,
        coalesce(series_uid, record_id) AS series_key
    FROM imaging_instances_current
    WHERE coalesce(acquired_hour, study_hour) IS NOT NULL
),

hours AS (
    SELECT
        device_id,
        modality,
        hour_of_day,
        count(DISTINCT study_key) AS n_studies,
        count(DISTINCT series_key) AS n_series,
        count(*) AS n_instances
    FROM timed
    GROUP BY device_id, modality, hour_of_day
)

SELECT
    device_id,
    modality,
    hour_of_day AS hour,
    n_studies,
    n_series,
    n_instances,
    n_instances / sum(n_instances) OVER (PARTITION BY device_id, modality) AS share_of_device
FROM hours

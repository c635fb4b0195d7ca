-- title: Imaging by modality
-- description: Studies, series, instances, patients and bytes of each modality. A study with several modalities counts
--   once in each.
-- grain: modality
-- cells: n_patients (n_studies, n_series, n_instances, n_frames, size_gb, mean_series_mb,
--   mean_instances_per_series)
-- column modality: modality; UNKNOWN where an instance does not say
-- column n_patients: patients
-- column n_studies: studies
-- column n_series: series
-- column size_gb: bytes of all files, in 10^9
-- column mean_series_mb: mean size of a series, in 10^6 bytes
-- column mean_instances_per_series: mean number of instances of a series
-- column with_contrast: series with a contrast agent
SELECT
    coalesce(modality, 'UNKNOWN') AS modality,
    count(DISTINCT patient_id) AS n_patients,
    count(DISTINCT coalesce(study_uid, series_key)) AS n_studies,
    count(*) AS n_series,
    sum(n_instances)::BIGINT AS n_instances,
    sum(n_frames)::BIGINT AS n_frames,
    sum(size_bytes) / 1e9 AS size_gb,
    avg(size_bytes) / 1e6 AS mean_series_mb,
    avg(n_instances) AS mean_instances_per_series,
    count(*) FILTER (WHERE contrast) AS with_contrast
FROM imaging_series
GROUP BY coalesce(modality, 'UNKNOWN')

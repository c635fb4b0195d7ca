-- title: Candidates for training imaging AI, by modality
-- description: How many series of each modality are ready for training, and which component the others lack.
-- grain: modality
-- source: ai_training_candidates
-- column modality: modality; UNKNOWN where an instance does not say
-- column n_series: series
-- column n_ready: series with at least two of the three points
-- column share_ready: ready series among all, 0 to 1
-- column n_patients_ready: patients with a ready series
-- column ready_gb: bytes of the ready series, in 10^9
-- column with_size: series with the point for size
-- column with_description: series with the point for the description
-- column with_completed: series with the point for the completed study
SELECT
    modality,
    count(*) AS n_series,
    count(*) FILTER (WHERE ready) AS n_ready,
    avg(ready::INT) AS share_ready,
    count(DISTINCT patient_id) FILTER (WHERE ready) AS n_patients_ready,
    sum(size_mb::DECIMAL(38, 9)) FILTER (WHERE ready)::DOUBLE / 1e3 AS ready_gb,
    sum(size_point)::BIGINT AS with_size,
    sum(description_point)::BIGINT AS with_description,
    sum(completed_point)::BIGINT AS with_completed
FROM ai_training_candidates
GROUP BY modality

-- title: Imaging studies
-- description: One row per study, with its modalities, its size and whether it has a structured report or contrast.
--   An instance without a study UID makes a study of its own.
-- grain: study_key
-- column study_key: study UID; the record id of an instance that has none
-- column modality: modality of the study's images: the one with the most instances
-- column modalities: all modalities in alphabetical order, with a backslash between
-- column body_parts: all body parts in alphabetical order, with a backslash between
-- column n_series: series
-- column n_instances: instances, each counted once
-- column n_frames: frames of all instances
-- column size_bytes: bytes of all files
-- column contrast: whether any instance names a contrast agent
-- column has_report: whether a structured report is among the instances
-- column last_acquired_at: latest acquisition of the study
WITH totals AS (
    SELECT
        coalesce(study_uid, record_id) AS study_key,
        modality,
        count(*) AS n
    FROM imaging_instances_current
    WHERE modality NOT IN ('SR', 'PR', 'KO', 'SEG', 'REG')
    GROUP BY coalesce(study_uid, record_id), modality
),

main_modality AS (
    SELECT
        study_key,
        modality,
        row_number() OVER (PARTITION BY study_key ORDER BY n DESC, modality ASC) AS place
    FROM totals
),

studies AS (
    SELECT
        coalesce(study_uid, record_id) AS study_key,
        max(study_uid) AS study_uid,
        max(patient_id) AS patient_id,
        max(encounter_id) AS encounter_id,
        max(accession_id) AS accession_id,
        min(study_at) AS study_at,
        min(study_hour) AS study_hour,
        max(coalesce(acquired_at, series_at)) AS last_acquired_at,
        max(sex) AS sex,
        max(age_years) AS age_years,
        string_agg(DISTINCT modality, '\' ORDER BY modality) AS modalities,
        string_agg(DISTINCT body_part, '\' ORDER BY body_part) AS body_parts,
        max(study_description) AS study_description,
        max(study_status) AS study_status,
        max(institution) AS institution,
        count(DISTINCT coalesce(series_uid, record_id)) AS n_series,
        count(*) AS n_instances,
        sum(frames)::BIGINT AS n_frames,
        sum(file_size)::BIGINT AS size_bytes,
        bool_or(contrast) AS contrast,
        coalesce(bool_or(modality = 'SR'), FALSE) AS has_report
    FROM imaging_instances_current
    GROUP BY coalesce(study_uid, record_id)
)

SELECT
    s.study_key,
    s.study_uid,
    s.patient_id,
    s.encounter_id,
    s.accession_id,
    s.study_at,
    s.study_hour,
    s.last_acquired_at,
    s.sex,
    s.age_years,
    l.modality,
    s.modalities,
    s.body_parts,
    s.study_description,
    s.study_status,
    s.institution,
    s.n_series,
    s.n_instances,
    s.n_frames,
    s.size_bytes,
    s.contrast,
    s.has_report
FROM studies AS s
LEFT JOIN main_modality AS l ON s.study_key = l.study_key AND l.place = 1

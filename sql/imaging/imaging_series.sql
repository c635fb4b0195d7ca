-- title: Imaging series
-- description: One row per series of a study, with what its instances have in common. An instance without a series UID
--   makes a series of its own.
-- grain: series_key
-- column series_key: series UID; the record id of an instance that has none
-- column n_instances: instances, each counted once
-- column n_frames: frames of all instances
-- column size_bytes: bytes of all files
-- column started_at: earliest time of the series or its acquisitions
-- column slice_thickness_mm: slice thickness of the series; its median where instances differ
-- column kvp: tube voltage of the series; its median where instances differ
-- column mean_ctdivol_mgy: mean CTDIvol of the instances
-- column contrast: whether any instance names a contrast agent
-- column burned_in: whether any instance is stated to have burned-in identity
-- column is_original: whether any instance is original
SELECT
    coalesce(series_uid, record_id) AS series_key,
    max(series_uid) AS series_uid,
    max(study_uid) AS study_uid,
    max(patient_id) AS patient_id,
    max(accession_id) AS accession_id,
    max(modality) AS modality,
    max(body_part) AS body_part,
    max(laterality) AS laterality,
    max(manufacturer) AS manufacturer,
    max(model) AS model,
    max(device_id) AS device_id,
    max(institution) AS institution,
    min(series_number) AS series_number,
    max(protocol_id) AS protocol_id,
    max(series_description) AS series_description,
    max(series_description_length) AS series_description_length,
    max(study_status) AS study_status,
    max(sex) AS sex,
    max(age_years) AS age_years,
    count(*) AS n_instances,
    sum(frames)::BIGINT AS n_frames,
    sum(file_size)::BIGINT AS size_bytes,
    min(coalesce(series_at, acquired_at)) AS started_at,
    min(study_at) AS study_at,
    median(slice_thickness_mm) AS slice_thickness_mm,
    median(kvp) AS kvp,
    avg(ctdivol_mgy) AS mean_ctdivol_mgy,
    max(field_strength_t) AS field_strength_t,
    bool_or(contrast) AS contrast,
    bool_or(burned_in) AS burned_in,
    bool_or(is_original) AS is_original
FROM imaging_instances_current
GROUP BY coalesce(series_uid, record_id)

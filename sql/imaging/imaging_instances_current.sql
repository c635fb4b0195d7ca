-- title: Imaging instances, each once
-- description: Every instance once, however often it was sent, with the surviving identity of its patient and all times
--   on that patient's line. An instance without a UID stands for itself. Of several copies the one with the most
--   attributes wins, then the later record.
-- grain: record_id
-- column patient_id: pseudonym of the patient
-- column n_copies: records of the same instance
WITH placed AS (
    SELECT
        i.record_id,
        coalesce(c.patient_id, i.patient_id) AS patient_id,
        i.encounter_id,
        i.accession_id,
        i.study_uid,
        i.series_uid,
        i.instance_uid,
        i.sop_class,
        i.modality,
        i.body_part,
        i.laterality,
        i.is_original,
        i.manufacturer,
        i.model,
        i.device_id,
        i.station_id,
        i.institution,
        i.series_number,
        i.study_description,
        i.series_description,
        i.series_description_length,
        i.protocol_id,
        i.study_status,
        i.rows,
        i.columns,
        coalesce(i.frames, 1) AS frames,
        i.slice_thickness_mm,
        i.kvp,
        i.tube_current_ma,
        i.exposure_mas,
        i.ctdivol_mgy,
        i.contrast,
        i.contrast_agent_code,
        i.field_strength_t,
        i.echo_time_ms,
        i.repetition_time_ms,
        i.sex,
        i.age_years,
        i.burned_in,
        i.lossy,
        i.file_size,
        i.study_hour,
        i.acquired_hour,
        i.study_at + coalesce(c.offset_days, 0) * INTERVAL '1' DAY AS study_at,
        i.series_at + coalesce(c.offset_days, 0) * INTERVAL '1' DAY AS series_at,
        i.acquired_at + coalesce(c.offset_days, 0) * INTERVAL '1' DAY AS acquired_at,
        coalesce(i.instance_uid, i.record_id) AS instance_key,
        (i.study_uid IS NOT NULL)::INT + (i.series_uid IS NOT NULL)::INT + (i.modality IS NOT NULL)::INT
        + (i.body_part IS NOT NULL)::INT + (i.study_at IS NOT NULL)::INT + (i.patient_id IS NOT NULL)::INT AS n_known
    FROM imaging_instances AS i
    LEFT JOIN identity_changes AS c ON i.patient_id = c.old_patient_id
),

ranked AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY instance_key) AS n_copies,
        row_number() OVER (PARTITION BY instance_key ORDER BY n_known DESC, record_id DESC) AS choice
    FROM placed
)

SELECT
    record_id,
    patient_id,
    encounter_id,
    accession_id,
    study_uid,
    series_uid,
    instance_uid,
    sop_class,
    modality,
    body_part,
    laterality,
    is_original,
    manufacturer,
    model,
    device_id,
    station_id,
    institution,
    series_number,
    study_description,
    series_description,
    series_description_length,
    protocol_id,
    study_status,
    rows,
    columns,
    frames,
    slice_thickness_mm,
    kvp,
    tube_current_ma,
    exposure_mas,
    ctdivol_mgy,
    contrast,
    contrast_agent_code,
    field_strength_t,
    echo_time_ms,
    repetition_time_ms,
    sex,
    age_years,
    burned_in,
    lossy,
    file_size,
    study_hour,
    acquired_hour,
    study_at,
    series_at,
    acquired_at,
    n_copies
FROM ranked
WHERE choice = 1

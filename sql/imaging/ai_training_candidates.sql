-- title: Candidates for training imaging AI
-- description: One point each for a series of more than 5 MB, a series description longer than 10 characters and a
--   completed study; ready from two points. A study is completed when the source says so (completed, verified or read),
--   or when a final result stands under its accession number. A component that is not known gives no point.
-- grain: series_key
-- source: rule of the imaging readiness tutorial
-- column patient_id: pseudonym of the patient
-- column size_mb: size of the series, in 10^6 bytes
-- column size_point: 1 when the series is larger than 5 MB
-- column description_point: 1 when the series description is longer than 10 characters
-- column completed_point: 1 when the study is completed
-- column n_missing: components that are not known, of three
-- column score: points, 0 to 3
-- column ready: whether the score is at least 2
WITH reported AS (
    SELECT DISTINCT accession_id
    FROM orders
    WHERE accession_id IS NOT NULL AND result_status IN ('F', 'C')
),

components AS (
    SELECT
        s.series_key,
        s.study_uid,
        s.patient_id,
        coalesce(s.modality, 'UNKNOWN') AS modality,
        s.body_part,
        s.n_instances,
        s.size_bytes / 1e6 AS size_mb,
        s.series_description_length,
        CASE
            WHEN upper(s.study_status) IN ('COMPLETED', 'COMPLETE', 'VERIFIED', 'READ') OR r.accession_id IS NOT NULL
                THEN 'completed'
            WHEN s.study_status IS NOT NULL THEN 'open'
        END AS status
    FROM imaging_series AS s
    LEFT JOIN reported AS r ON s.accession_id = r.accession_id
),

points AS (
    SELECT
        *,
        coalesce(size_mb > 5, FALSE)::INT AS size_point,
        coalesce(series_description_length > 10, FALSE)::INT AS description_point,
        coalesce(status = 'completed', FALSE)::INT AS completed_point,
        (size_mb IS NULL)::INT + (series_description_length IS NULL)::INT + (status IS NULL)::INT AS n_missing
    FROM components
)

SELECT
    series_key,
    study_uid,
    patient_id,
    modality,
    body_part,
    n_instances,
    size_mb,
    series_description_length,
    size_point,
    description_point,
    completed_point,
    n_missing,
    size_point + description_point + completed_point AS score,
    size_point + description_point + completed_point >= 2 AS ready
FROM points

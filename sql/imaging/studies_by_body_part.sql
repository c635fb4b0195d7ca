-- title: Studies by body part
-- description: Studies and patients of each body part and modality. A study of several body parts counts once in each.
-- grain: body_part, modality
-- cells: n_patients (n_studies, n_series, mean_age_years, share_of_modality)
-- column body_part: body part examined; UNKNOWN where no instance of the series says
-- column modality: modality; UNKNOWN where an instance does not say
-- column n_studies: studies
-- column n_series: series
-- column n_patients: patients
-- column mean_age_years: mean age at the study, over series; 90 stands for 90 and over
-- column share_of_modality: studies of this body part among those of the modality, 0 to 1
WITH parts AS (
    SELECT
        coalesce(upper(body_part), 'UNKNOWN') AS body_part,
        coalesce(modality, 'UNKNOWN') AS modality,
        coalesce(study_uid, series_key) AS study_key,
        patient_id,
        age_years
    FROM imaging_series
),

totals AS (
    SELECT
        modality,
        count(DISTINCT study_key) AS n_studies
    FROM parts
    GROUP BY modality
)

SELECT
    p.body_part,
    p.modality,
    count(DISTINCT p.study_key) AS n_studies,
    count(*) AS n_series,
    count(DISTINCT p.patient_id) AS n_patients,
    avg(p.age_years) AS mean_age_years,
    count(DISTINCT p.study_key) / max(t.n_studies)::DOUBLE AS share_of_modality
FROM parts AS p
INNER JOIN totals AS t ON p.modality = t.modality
GROUP BY p.body_part, p.modality

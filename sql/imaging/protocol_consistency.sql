-- title: Protocol consistency
-- description: Whether series of one description are acquired alike: slice thickness and tube voltage of each series
--   description and modality, and the share of series at the most common value. Descriptions are compared by their
--   pseudonym, so this works where their text is not stored.
-- grain: protocol_id, modality
-- column protocol_id: pseudonym of the series description (else of the protocol name); UNKNOWN where none is stated
-- column series_description: series description, where the profile stores it
-- column n_series: series
-- column n_devices: devices that made them
-- column n_slice_thicknesses: different slice thicknesses
-- column usual_slice_thickness_mm: most common slice thickness, mm; the smaller one of equals
-- column min_slice_thickness_mm: smallest slice thickness, mm
-- column max_slice_thickness_mm: largest slice thickness, mm
-- column share_at_usual_thickness: series at the most common slice thickness among those that state one, 0 to 1
-- column n_kvps: different tube voltages
-- column usual_kvp: most common tube voltage, kV; the lower one of equals
-- column share_at_usual_kvp: series at the most common tube voltage among those that state one, 0 to 1
-- column consistent: whether all series that state them agree in slice thickness and tube voltage
WITH series AS (
    SELECT
        coalesce(protocol_id, 'UNKNOWN') AS protocol_id,
        coalesce(modality, 'UNKNOWN') AS modality,
        series_description,
        device_id,
        round(slice_thickness_mm, 3) AS slice_thickness_mm,
        round(kvp, 1) AS kvp
    FROM imaging_series
),

thickness AS (
    SELECT
        protocol_id,
        modality,
        slice_thickness_mm,
        count(*) AS n,
        sum(count(*)) OVER (PARTITION BY protocol_id, modality) AS n_stated,
        row_number() OVER (PARTITION BY protocol_id, modality ORDER BY count(*) DESC, slice_thickness_mm) AS place
    FROM series
    WHERE slice_thickness_mm IS NOT NULL
    GROUP BY protocol_id, modality, slice_thickness_mm
),

voltage AS (
    SELECT
        protocol_id,
        modality,
        kvp,
        count(*) AS n,
        sum(count(*)) OVER (PARTITION BY protocol_id, modality) AS n_stated,
        row_number() OVER (PARTITION BY protocol_id, modality ORDER BY count(*) DESC, kvp) AS place
    FROM series
    WHERE kvp IS NOT NULL
    GROUP BY protocol_id, modality, kvp
),

grouped AS (
    SELECT
        protocol_id,
        modality,
        max(series_description) AS series_description,
        count(*) AS n_series,
        count(DISTINCT device_id) AS n_devices,
        count(DISTINCT slice_thickness_mm) AS n_slice_thicknesses,
        min(slice_thickness_mm) AS min_slice_thickness_mm,
        max(slice_thickness_mm) AS max_slice_thickness_mm,
        count(DISTINCT kvp) AS n_kvps
    FROM series
    GROUP BY protocol_id, modality
)

SELECT
    g.protocol_id,
    g.modality,
    g.series_description,
    g.n_series,
    g.n_devices,
    g.n_slice_thicknesses,
    t.slice_thickness_mm AS usual_slice_thickness_mm,
    g.min_slice_thickness_mm,
    g.max_slice_thickness_mm,
    t.n / t.n_stated AS share_at_usual_thickness,
    g.n_kvps,
    v.kvp AS usual_kvp,
    v.n / v.n_stated AS share_at_usual_kvp,
    g.n_slice_thicknesses <= 1 AND g.n_kvps <= 1 AS consistent
FROM grouped AS g
LEFT JOIN thickness AS t ON g.protocol_id = t.protocol_id AND g.modality = t.modality AND t.place = 1
LEFT JOIN voltage AS v ON g.protocol_id = v.protocol_id AND g.modality = v.modality AND v.place = 1

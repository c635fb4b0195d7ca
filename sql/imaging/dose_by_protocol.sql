-- title: Radiation dose by protocol
-- description: Dose of each protocol and target region, from dose reports: medians and 75th percentiles over
--   irradiation events, which is how diagnostic reference levels are set. Totals of a report are left out, for they
--   count the same irradiation again. An event that several reports state counts once.
-- grain: kind, protocol_id, target_region_code
-- source: ICRP Publication 135 (2017): reference levels are 75th percentiles of medians
-- cells: n_patients (n_events, n_studies, median_ctdivol_mgy, p75_ctdivol_mgy, median_dlp_mgycm,
--   p75_dlp_mgycm, median_study_dlp_mgycm)
-- column protocol_id: pseudonym of the protocol; UNKNOWN where none is stated
-- column protocol: protocol as text, where the profile stores it
-- column target_region_code: code of the target region; UNKNOWN where none is stated
-- column n_events: irradiation events
-- column n_studies: studies
-- column n_patients: patients
-- column median_ctdivol_mgy: median of the mean CTDIvol, mGy
-- column p75_ctdivol_mgy: 75th percentile of the mean CTDIvol, mGy
-- column median_dlp_mgycm: median dose length product of an event, mGy.cm
-- column p75_dlp_mgycm: 75th percentile of the dose length product of an event, mGy.cm
-- column median_study_dlp_mgycm: median over studies of the sum of the dose length products of this protocol
-- column median_dap_gym2: median dose area product of an event, Gy.m2
-- column median_activity_mbq: median administered activity, MBq
WITH events AS (
    SELECT
        kind,
        coalesce(protocol_id, 'UNKNOWN') AS protocol_id,
        coalesce(target_region_code, 'UNKNOWN') AS target_region_code,
        protocol,
        coalesce(study_uid, record_id) AS study_key,
        patient_id,
        mean_ctdivol_mgy,
        dlp_mgycm,
        dose_area_product_gym2,
        administered_activity_mbq
    FROM radiation_events
    WHERE scope = 'event'
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(event_uid, concat(record_id, ':', cast(ordinal AS VARCHAR))) ORDER BY record_id, ordinal
    ) = 1
),

studies AS (
    SELECT
        kind,
        protocol_id,
        target_region_code,
        study_key,
        -- as decimals: the last bit of a sum of doubles depends on the order in which rows come
        cast(sum(cast(dlp_mgycm AS DECIMAL(38, 9))) AS DOUBLE) AS dlp_mgycm
    FROM events
    GROUP BY kind, protocol_id, target_region_code, study_key
),

by_study AS (
    SELECT
        kind,
        protocol_id,
        target_region_code,
        median(dlp_mgycm) AS median_study_dlp_mgycm
    FROM studies
    GROUP BY kind, protocol_id, target_region_code
)

SELECT
    e.kind,
    e.protocol_id,
    e.target_region_code,
    max(e.protocol) AS protocol,
    count(*) AS n_events,
    count(DISTINCT e.study_key) AS n_studies,
    count(DISTINCT e.patient_id) AS n_patients,
    median(e.mean_ctdivol_mgy) AS median_ctdivol_mgy,
    quantile_cont(e.mean_ctdivol_mgy, 0.75) AS p75_ctdivol_mgy,
    median(e.dlp_mgycm) AS median_dlp_mgycm,
    quantile_cont(e.dlp_mgycm, 0.75) AS p75_dlp_mgycm,
    max(s.median_study_dlp_mgycm) AS median_study_dlp_mgycm,
    median(e.dose_area_product_gym2) AS median_dap_gym2,
    median(e.administered_activity_mbq) AS median_activity_mbq
FROM events AS e
INNER JOIN by_study AS s
    ON
        e.kind = s.kind
        AND e.protocol_id = s.protocol_id
        AND e.target_region_code = s.target_region_code
GROUP BY e.kind, e.protocol_id, e.target_region_code

-- title: Imaging orders, studies and results
-- description: One row per accession number that a study or a radiology order carries: the order, the study and the
--   result that belong together, and the time between them. What is missing shows what never happened, or was never
--   sent.
-- grain: accession_id
-- source: HL7 0074 (sections of imaging) and the DICOM modalities that senders put in its place
-- column accession_id: pseudonym of the accession number
-- column patient_id: pseudonym of the patient
-- column ordered_at: when the order was entered or asked for
-- column order_status: latest status of the order (HL7 0038)
-- column order_code: code of what was ordered
-- column order_code_system: code system of order_code
-- column category: section of the department that does it (OBR-24)
-- column study_key: the study; the earliest one where several carry the number
-- column n_studies: studies under the number
-- column reported_at: when a preliminary or final result was reported
-- column result_status: latest status of the result (HL7 0123)
-- column n_results: results under the order's number
-- column hours_to_study: hours from the order to the study
-- column hours_to_report: hours from the study to the result
-- column stage: reported, performed, ordered, or unordered (a study without an order)
WITH stated AS (
    SELECT
        o.accession_id,
        o.order_id,
        o.order_control,
        o.order_status,
        o.result_status,
        o.code,
        o.code_system,
        o.category,
        coalesce(c.patient_id, o.patient_id) AS patient_id,
        coalesce(o.ordered_at, o.requested_at) + coalesce(c.offset_days, 0) * INTERVAL '1' DAY AS ordered_at,
        o.reported_at + coalesce(c.offset_days, 0) * INTERVAL '1' DAY AS reported_at,
        o.stated_at + coalesce(c.offset_days, 0) * INTERVAL '1' DAY AS stated_at,
        o.record_id,
        o.ordinal
    FROM orders AS o
    LEFT JOIN identity_changes AS c ON o.patient_id = c.old_patient_id
    WHERE o.accession_id IS NOT NULL
),

placed AS (
    SELECT
        accession_id,
        max(patient_id) AS patient_id,
        min(ordered_at) AS ordered_at,
        arg_max(order_status, (stated_at, record_id, ordinal)) FILTER (WHERE order_status IS NOT NULL) AS order_status,
        arg_max(result_status, (stated_at, record_id, ordinal))
        FILTER (WHERE result_status IS NOT NULL) AS result_status,
        arg_max(code, (stated_at, record_id, ordinal)) FILTER (WHERE code IS NOT NULL) AS order_code,
        max(code_system) AS order_code_system,
        max(category) AS category,
        min(reported_at) FILTER (WHERE result_status IN ('P', 'F', 'C')) AS reported_at,
        bool_or(
            upper(category) IN (
                'RAD', 'RUS', 'RX', 'RC', 'RT', 'CT', 'NMR', 'NMS', 'IMG', 'XRC', 'VUS', 'OUS', 'CUS', 'MAM',
                'MR', 'CR', 'DX', 'DR', 'US', 'MG', 'PT', 'NM', 'XA', 'RF', 'SR'
            )
        ) AS is_imaging
    FROM stated
    GROUP BY accession_id
),

answered AS (
    SELECT
        s.accession_id,
        count(DISTINCT concat(b.record_id, ':', cast(b.ordinal AS VARCHAR))) AS n_results
    FROM stated AS s
    INNER JOIN observations AS b ON s.order_id = b.order_id
    GROUP BY s.accession_id
),

performed AS (
    SELECT
        accession_id,
        max(patient_id) AS patient_id,
        count(*) AS n_studies,
        arg_min(study_key, (study_at, study_key)) AS study_key,
        arg_min(modality, (study_at, study_key)) AS modality,
        arg_min(body_parts, (study_at, study_key)) AS body_parts,
        min(study_at) AS study_at
    FROM imaging_studies
    WHERE accession_id IS NOT NULL
    GROUP BY accession_id
)

SELECT
    coalesce(o.accession_id, p.accession_id) AS accession_id,
    coalesce(p.patient_id, o.patient_id) AS patient_id,
    o.ordered_at,
    o.order_status,
    o.order_code,
    o.order_code_system,
    o.category,
    p.study_key,
    p.modality,
    p.body_parts,
    coalesce(p.n_studies, 0) AS n_studies,
    p.study_at,
    o.reported_at,
    o.result_status,
    coalesce(a.n_results, 0) AS n_results,
    date_diff('second', o.ordered_at, p.study_at) / 3600.0 AS hours_to_study,
    date_diff('second', p.study_at, o.reported_at) / 3600.0 AS hours_to_report,
    CASE
        WHEN o.accession_id IS NULL THEN 'unordered'
        WHEN o.reported_at IS NOT NULL OR o.result_status IN ('P', 'F', 'C') THEN 'reported'
        WHEN p.accession_id IS NOT NULL THEN 'performed'
        ELSE 'ordered'
    END AS stage
FROM placed AS o
FULL OUTER JOIN performed AS p ON o.accession_id = p.accession_id
LEFT JOIN answered AS a ON o.accession_id = a.accession_id
WHERE p.accession_id IS NOT NULL OR o.is_imaging

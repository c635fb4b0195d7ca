-- title: Measured values of early warning
-- description: What NEWS2 and MEWS are made of, of everything that was measured at the bedside. early_warning_scores
--   reads vital_signs over these.
-- grain: record_id, ordinal
-- source: measured_values; Royal College of Physicians, NEWS2, 2017; Subbe, QJM 2001;94:521
SELECT
    record_id,
    ordinal,
    patient_id,
    encounter_id,
    analyte,
    analyte_kind,
    value,
    second_value,
    answer,
    observed_at,
    age_years,
    plausible,
    second_plausible
FROM measured_values
WHERE
    analyte IN (
        'respiratory_rate', 'spo2', 'oxygen_flow', 'inspired_oxygen', 'fio2', 'oxygen_device', 'systolic_bp',
        'blood_pressure', 'heart_rate', 'consciousness', 'gcs', 'gcs_eye', 'gcs_verbal', 'gcs_motor', 'temperature'
    )

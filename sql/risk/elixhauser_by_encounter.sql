-- title: Elixhauser comorbidities, van Walraven score by visit
-- description: Per visit, from its own diagnoses and the patient's others of the 365 days before its end (before its
--   admission while it lasts), in ICD-9-CM and ICD-10, with van Walraven weights. Of the mild and the severe form of
--   one disease only the severe counts. Null without any coded diagnosis.
-- grain: patient_id, encounter_id
-- source: Elixhauser, Med Care 1998;36:8; codes Quan, Med Care 2005;43:1130; weights van Walraven, Med Care 2009;47:626
-- column encounter_id: pseudonym of the visit
SELECT
    patient_id,
    encounter_id,
    first_recorded_at,
    last_recorded_at,
    congestive_heart_failure,
    arrhythmia,
    valvular_disease,
    pulmonary_circulation,
    peripheral_vascular_disease,
    hypertension,
    hypertension_complicated,
    paralysis,
    neurological_other,
    chronic_pulmonary_disease,
    diabetes,
    diabetes_complicated,
    hypothyroidism,
    renal_failure,
    liver_disease,
    peptic_ulcer_disease,
    aids_hiv,
    lymphoma,
    metastatic_cancer,
    solid_tumor,
    rheumatic_disease,
    coagulopathy,
    obesity,
    weight_loss,
    fluid_electrolyte,
    blood_loss_anemia,
    deficiency_anemia,
    alcohol_abuse,
    drug_abuse,
    psychoses,
    depression,
    n_groups,
    score,
    variant,
    n_diagnoses,
    n_missing
FROM elixhauser_scores('visit', NULL)

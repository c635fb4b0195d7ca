-- title: Charlson comorbidity index by visit
-- description: Per visit, from its own diagnoses and the patient's others of the 365 days before its end (before its
--   admission while it lasts), in ICD-9-CM and ICD-10, with the original (1987) and updated (2011) weights. Of the mild
--   and the severe form of one disease only the severe counts. Null without any coded diagnosis.
-- grain: patient_id, encounter_id
-- source: Charlson, J Chronic Dis 1987;40:373, age points J Clin Epidemiol 1994;47:1245; codes Quan, Med Care
--   2005;43:1130; updated weights Quan, Am J Epidemiol 2011;173:676
-- column encounter_id: pseudonym of the visit
-- column age_years: age in years at admission; 90 stands for 90 and over
SELECT
    patient_id,
    encounter_id,
    age_years,
    age_points,
    first_recorded_at,
    last_recorded_at,
    myocardial_infarction,
    congestive_heart_failure,
    peripheral_vascular_disease,
    cerebrovascular_disease,
    dementia,
    chronic_pulmonary_disease,
    rheumatic_disease,
    peptic_ulcer_disease,
    mild_liver_disease,
    diabetes,
    diabetes_complicated,
    paralysis,
    renal_disease,
    malignancy,
    severe_liver_disease,
    metastatic_tumor,
    aids_hiv,
    n_groups,
    score_original,
    score_updated,
    score_lace,
    variant,
    score_original_age,
    n_diagnoses,
    n_missing
FROM charlson_scores('visit', NULL)

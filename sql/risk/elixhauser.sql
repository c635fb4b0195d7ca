-- title: Elixhauser comorbidities, van Walraven score
-- description: Per patient, over the whole record. Diagnoses in ICD-9-CM and ICD-10; van Walraven weights. Of the mild
--   and the severe form of one disease only the severe counts. Null without any coded diagnosis.
-- grain: patient_id
-- source: Elixhauser, Med Care 1998;36:8; codes Quan, Med Care 2005;43:1130; weights van Walraven, Med Care 2009;47:626
-- column patient_id: Pseudonym of the patient
-- column first_recorded_at: Time of the earliest diagnosis looked at
-- column last_recorded_at: Time of the latest
-- column congestive_heart_failure: Congestive heart failure
-- column arrhythmia: Cardiac arrhythmias
-- column valvular_disease: Valvular disease
-- column pulmonary_circulation: Pulmonary circulation disorders
-- column peripheral_vascular_disease: Peripheral vascular disorders
-- column hypertension: Uncomplicated hypertension; 0 where complicated hypertension counts
-- column hypertension_complicated: Complicated hypertension
-- column paralysis: Paralysis
-- column neurological_other: Other neurological disorders
-- column chronic_pulmonary_disease: Chronic pulmonary disease
-- column diabetes: Uncomplicated diabetes; 0 where complicated diabetes counts
-- column diabetes_complicated: Complicated diabetes
-- column hypothyroidism: Hypothyroidism
-- column renal_failure: Renal failure
-- column liver_disease: Liver disease
-- column peptic_ulcer_disease: Peptic ulcer disease without bleeding
-- column aids_hiv: AIDS/HIV
-- column lymphoma: Lymphoma
-- column metastatic_cancer: Metastatic cancer
-- column solid_tumor: Solid tumor without metastasis; 0 where metastatic cancer counts
-- column rheumatic_disease: Rheumatoid arthritis and collagen vascular disease
-- column coagulopathy: Coagulopathy
-- column obesity: Obesity
-- column weight_loss: Weight loss
-- column fluid_electrolyte: Fluid and electrolyte disorders
-- column blood_loss_anemia: Blood loss anemia
-- column deficiency_anemia: Deficiency anemia
-- column alcohol_abuse: Alcohol abuse
-- column drug_abuse: Drug abuse
-- column psychoses: Psychoses
-- column depression: Depression
-- column n_groups: Groups that count
-- column score: Sum of the weights of the groups that count
-- column n_diagnoses: ICD-coded diagnoses looked at
-- column n_missing: Inputs without a value, of one: diagnoses
-- column variant: Code lists and weights used
WITH diagnosed AS (
    SELECT
        patient_id,
        count(*) AS n_diagnoses,
        min(recorded_at) AS first_recorded_at,
        max(recorded_at) AS last_recorded_at
    FROM patient_conditions
    WHERE code_system IN ('icd10cm', 'icd10', 'icd9cm', 'icd9')
    GROUP BY patient_id
),

found AS (
    SELECT DISTINCT
        patient_id,
        condition
    FROM elixhauser_conditions
),

kept AS (
    SELECT
        found.patient_id,
        found.condition,
        weights.weight
    FROM found
    INNER JOIN codes.elixhauser_van_walraven_weights AS weights ON found.condition = weights.condition
    LEFT JOIN found AS severe ON found.patient_id = severe.patient_id AND weights.superseded_by = severe.condition
    WHERE severe.condition IS NULL
),

counted AS (
    SELECT
        diagnosed.patient_id,
        count(kept.condition) AS n_groups,
        coalesce(sum(kept.weight), 0)::INT AS score,
        max(CASE WHEN kept.condition = 'CHF' THEN 1 ELSE 0 END) AS congestive_heart_failure,
        max(CASE WHEN kept.condition = 'CARDIAC_ARRHYTHMIAS' THEN 1 ELSE 0 END) AS arrhythmia,
        max(CASE WHEN kept.condition = 'VALVE' THEN 1 ELSE 0 END) AS valvular_disease,
        max(CASE WHEN kept.condition = 'PULMCIRC' THEN 1 ELSE 0 END) AS pulmonary_circulation,
        max(CASE WHEN kept.condition = 'PERIVASC' THEN 1 ELSE 0 END) AS peripheral_vascular_disease,
        max(CASE WHEN kept.condition = 'HTN_UNCX' THEN 1 ELSE 0 END) AS hypertension,
        max(CASE WHEN kept.condition = 'HFHTN_CX' THEN 1 ELSE 0 END) AS hypertension_complicated,
        max(CASE WHEN kept.condition = 'PARA' THEN 1 ELSE 0 END) AS paralysis,
        max(CASE WHEN kept.condition = 'NEURO' THEN 1 ELSE 0 END) AS neurological_other,
        max(CASE WHEN kept.condition = 'CHRNLUNG' THEN 1 ELSE 0 END) AS chronic_pulmonary_disease,
        max(CASE WHEN kept.condition = 'DM' THEN 1 ELSE 0 END) AS diabetes,
        max(CASE WHEN kept.condition = 'DMCX' THEN 1 ELSE 0 END) AS diabetes_complicated,
        max(CASE WHEN kept.condition = 'HYPOTHY' THEN 1 ELSE 0 END) AS hypothyroidism,
        max(CASE WHEN kept.condition = 'RENLFAIL' THEN 1 ELSE 0 END) AS renal_failure,
        max(CASE WHEN kept.condition = 'LIVER' THEN 1 ELSE 0 END) AS liver_disease,
        max(CASE WHEN kept.condition = 'ULCER' THEN 1 ELSE 0 END) AS peptic_ulcer_disease,
        max(CASE WHEN kept.condition = 'AIDS' THEN 1 ELSE 0 END) AS aids_hiv,
        max(CASE WHEN kept.condition = 'LYMPH' THEN 1 ELSE 0 END) AS lymphoma,
        max(CASE WHEN kept.condition = 'METS' THEN 1 ELSE 0 END) AS metastatic_cancer,
        max(CASE WHEN kept.condition = 'TUMOR' THEN 1 ELSE 0 END) AS solid_tumor,
        max(CASE WHEN kept.condition = 'ARTH' THEN 1 ELSE 0 END) AS rheumatic_disease,
        max(CASE WHEN kept.condition = 'COAG' THEN 1 ELSE 0 END) AS coagulopathy,
        max(CASE WHEN kept.condition = 'OBESE' THEN 1 ELSE 0 END) AS obesity,
        max(CASE WHEN kept.condition = 'WGHTLOSS' THEN 1 ELSE 0 END) AS weight_loss,
        max(CASE WHEN kept.condition = 'LYTES' THEN 1 ELSE 0 END) AS fluid_electrolyte,
        max(CASE WHEN kept.condition = 'BLDLOSS' THEN 1 ELSE 0 END) AS blood_loss_anemia,
        max(CASE WHEN kept.condition = 'ANEMDEF' THEN 1 ELSE 0 END) AS deficiency_anemia,
        max(CASE WHEN kept.condition = 'ALCOHOL' THEN 1 ELSE 0 END) AS alcohol_abuse,
        max(CASE WHEN kept.condition = 'DRUG' THEN 1 ELSE 0 END) AS drug_abuse,
        max(CASE WHEN kept.condition = 'PSYCH' THEN 1 ELSE 0 END) AS psychoses,
        max(CASE WHEN kept.condition = 'DEPRESS' THEN 1 ELSE 0 END) AS depression
    FROM diagnosed
    LEFT JOIN kept ON diagnosed.patient_id = kept.patient_id
    GROUP BY diagnosed.patient_id
),

everyone AS (
    SELECT patient_id FROM patients_current
    UNION DISTINCT
    SELECT patient_id FROM diagnosed
)

SELECT
    everyone.patient_id,
    diagnosed.first_recorded_at,
    diagnosed.last_recorded_at,
    counted.congestive_heart_failure,
    counted.arrhythmia,
    counted.valvular_disease,
    counted.pulmonary_circulation,
    counted.peripheral_vascular_disease,
    counted.hypertension,
    counted.hypertension_complicated,
    counted.paralysis,
    counted.neurological_other,
    counted.chronic_pulmonary_disease,
    counted.diabetes,
    counted.diabetes_complicated,
    counted.hypothyroidism,
    counted.renal_failure,
    counted.liver_disease,
    counted.peptic_ulcer_disease,
    counted.aids_hiv,
    counted.lymphoma,
    counted.metastatic_cancer,
    counted.solid_tumor,
    counted.rheumatic_disease,
    counted.coagulopathy,
    counted.obesity,
    counted.weight_loss,
    counted.fluid_electrolyte,
    counted.blood_loss_anemia,
    counted.deficiency_anemia,
    counted.alcohol_abuse,
    counted.drug_abuse,
    counted.psychoses,
    counted.depression,
    counted.n_groups,
    counted.score,
    'Quan 2005 codes; van Walraven 2009 weights' AS variant,
    coalesce(diagnosed.n_diagnoses, 0) AS n_diagnoses,
    (diagnosed.n_diagnoses IS NULL)::INT AS n_missing
FROM everyone
LEFT JOIN diagnosed ON everyone.patient_id = diagnosed.patient_id
LEFT JOIN counted ON everyone.patient_id = counted.patient_id

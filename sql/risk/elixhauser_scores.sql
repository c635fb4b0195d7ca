-- title: Elixhauser comorbidities of a scope, van Walraven score
-- description: Groups, hierarchy and sums once for every scope of comorbidity_diagnoses, which says what ts does. Of
--   the mild and the severe form of one disease only the severe counts. Null without any coded diagnosis.
-- grain: patient_id, encounter_id
-- parameters: scope, ts
-- source: Elixhauser, Med Care 1998;36:8; codes Quan, Med Care 2005;43:1130; weights van Walraven, Med Care 2009;47:626
-- column encounter_id: pseudonym of the visit; null for the scope patient
-- column first_recorded_at: time of the earliest diagnosis looked at
-- column last_recorded_at: time of the latest
-- column congestive_heart_failure: congestive heart failure
-- column arrhythmia: cardiac arrhythmias
-- column valvular_disease: valvular disease
-- column pulmonary_circulation: pulmonary circulation disorders
-- column peripheral_vascular_disease: peripheral vascular disorders
-- column hypertension: uncomplicated hypertension; 0 where complicated hypertension counts
-- column hypertension_complicated: complicated hypertension
-- column paralysis: paralysis
-- column neurological_other: other neurological disorders
-- column chronic_pulmonary_disease: chronic pulmonary disease
-- column diabetes: uncomplicated diabetes; 0 where complicated diabetes counts
-- column diabetes_complicated: complicated diabetes
-- column hypothyroidism: hypothyroidism
-- column renal_failure: renal failure
-- column liver_disease: liver disease
-- column peptic_ulcer_disease: peptic ulcer disease without bleeding
-- column aids_hiv: AIDS/HIV
-- column lymphoma: lymphoma
-- column metastatic_cancer: metastatic cancer
-- column solid_tumor: solid tumor without metastasis; 0 where metastatic cancer counts
-- column rheumatic_disease: rheumatoid arthritis and collagen vascular disease
-- column coagulopathy: coagulopathy
-- column obesity: obesity
-- column weight_loss: weight loss
-- column fluid_electrolyte: fluid and electrolyte disorders
-- column blood_loss_anemia: blood loss anemia
-- column deficiency_anemia: deficiency anemia
-- column alcohol_abuse: alcohol abuse
-- column drug_abuse: drug abuse
-- column psychoses: psychoses
-- column depression: depression
-- column n_groups: groups that count
-- column score: sum of the weights of the groups that count
-- column n_diagnoses: ICD-coded diagnoses looked at
-- column n_missing: inputs without a value, of one: diagnoses
-- column variant: code lists and weights used

-- Not cut into concept views: half of it is one line for each group.
WITH diagnoses AS (
    SELECT * FROM comorbidity_diagnoses(scope, ts)
),

diagnosis_counts AS (
    SELECT
        patient_id,
        encounter_id,
        count(code_system) AS n_diagnoses,
        min(recorded_at) AS first_recorded_at,
        max(recorded_at) AS last_recorded_at
    FROM diagnoses
    GROUP BY patient_id, encounter_id
),

comorbidities AS (
    SELECT DISTINCT
        diagnoses.patient_id,
        diagnoses.encounter_id,
        groups.condition
    FROM diagnoses
    INNER JOIN comorbidity_codes AS groups
        ON diagnoses.code = groups.code AND diagnoses.code_system = groups.code_system
    WHERE groups.scheme = 'elixhauser'
),

effective_comorbidities AS (
    SELECT
        mild.patient_id,
        mild.encounter_id,
        mild.condition,
        weights.weight
    FROM comorbidities AS mild
    INNER JOIN codes.elixhauser_van_walraven_weights AS weights ON mild.condition = weights.condition
    LEFT JOIN comorbidities AS severe
        ON
            mild.patient_id = severe.patient_id
            AND mild.encounter_id = severe.encounter_id
            AND weights.superseded_by = severe.condition
    WHERE severe.condition IS NULL
),

totals AS (
    SELECT
        dc.patient_id,
        dc.encounter_id,
        max(dc.n_diagnoses) AS n_diagnoses,
        max(dc.first_recorded_at) AS first_recorded_at,
        max(dc.last_recorded_at) AS last_recorded_at,
        CASE WHEN max(dc.n_diagnoses) > 0 THEN count(ec.condition) END AS n_groups,
        sum(CASE WHEN dc.n_diagnoses > 0 THEN coalesce(ec.weight, 0) END)::INT AS score,
        max(CASE WHEN ec.condition = 'CHF' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS congestive_heart_failure,
        max(CASE WHEN ec.condition = 'CARDIAC_ARRHYTHMIAS' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS arrhythmia,
        max(CASE WHEN ec.condition = 'VALVE' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS valvular_disease,
        max(CASE WHEN ec.condition = 'PULMCIRC' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS pulmonary_circulation,
        max(
            CASE WHEN ec.condition = 'PERIVASC' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END
        ) AS peripheral_vascular_disease,
        max(CASE WHEN ec.condition = 'HTN_UNCX' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS hypertension,
        max(CASE WHEN ec.condition = 'HFHTN_CX' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS hypertension_complicated,
        max(CASE WHEN ec.condition = 'PARA' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS paralysis,
        max(CASE WHEN ec.condition = 'NEURO' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS neurological_other,
        max(CASE WHEN ec.condition = 'CHRNLUNG' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS chronic_pulmonary_disease,
        max(CASE WHEN ec.condition = 'DM' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS diabetes,
        max(CASE WHEN ec.condition = 'DMCX' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS diabetes_complicated,
        max(CASE WHEN ec.condition = 'HYPOTHY' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS hypothyroidism,
        max(CASE WHEN ec.condition = 'RENLFAIL' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS renal_failure,
        max(CASE WHEN ec.condition = 'LIVER' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS liver_disease,
        max(CASE WHEN ec.condition = 'ULCER' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS peptic_ulcer_disease,
        max(CASE WHEN ec.condition = 'AIDS' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS aids_hiv,
        max(CASE WHEN ec.condition = 'LYMPH' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS lymphoma,
        max(CASE WHEN ec.condition = 'METS' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS metastatic_cancer,
        max(CASE WHEN ec.condition = 'TUMOR' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS solid_tumor,
        max(CASE WHEN ec.condition = 'ARTH' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS rheumatic_disease,
        max(CASE WHEN ec.condition = 'COAG' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS coagulopathy,
        max(CASE WHEN ec.condition = 'OBESE' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS obesity,
        max(CASE WHEN ec.condition = 'WGHTLOSS' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS weight_loss,
        max(CASE WHEN ec.condition = 'LYTES' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS fluid_electrolyte,
        max(CASE WHEN ec.condition = 'BLDLOSS' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS blood_loss_anemia,
        max(CASE WHEN ec.condition = 'ANEMDEF' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS deficiency_anemia,
        max(CASE WHEN ec.condition = 'ALCOHOL' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS alcohol_abuse,
        max(CASE WHEN ec.condition = 'DRUG' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS drug_abuse,
        max(CASE WHEN ec.condition = 'PSYCH' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS psychoses,
        max(CASE WHEN ec.condition = 'DEPRESS' THEN 1 WHEN dc.n_diagnoses > 0 THEN 0 END) AS depression
    FROM diagnosis_counts AS dc
    LEFT JOIN effective_comorbidities AS ec
        ON dc.patient_id = ec.patient_id AND dc.encounter_id = ec.encounter_id
    GROUP BY dc.patient_id, dc.encounter_id
)

SELECT
    patient_id,
    nullif(encounter_id, '') AS encounter_id,
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
    'Quan 2005 codes; van Walraven 2009 weights' AS variant,
    n_diagnoses,
    (n_diagnoses = 0)::INT AS n_missing
FROM totals

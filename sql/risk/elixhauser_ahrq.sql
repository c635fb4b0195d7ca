-- title: Elixhauser comorbidities, AHRQ Refined v2025.1
-- description: Per visit, the 38 measures from its secondary ICD-10-CM diagnoses and the two indices. Twenty measures
--   count whether or not the diagnosis was present on admission; eighteen only when it was (Y, W) or its code is
--   exempt. These eighteen are null in a visit none of whose diagnoses has an indicator; the indices then sum what is
--   known.
-- grain: patient_id, encounter_id
-- source: AHRQ Elixhauser Comorbidity Software Refined for ICD-10-CM, v2025.1
-- column recorded_from: time of the earliest diagnosis looked at
-- column recorded_until: time of the latest
-- column n_secondary: secondary diagnoses looked at
-- column n_unranked: diagnoses left out because nothing says whether they are secondary
-- column has_present_on_admission: whether a diagnosis of the visit has an indicator
-- column readmission_index: sum of the readmission weights of the measures that are known to count
-- column mortality_index: sum of the in-hospital mortality weights of the measures that are known to count
-- column variant: version of the software
-- column n_missing: measures that are null, of 38
-- column aids: acquired immune deficiency syndrome
-- column alcohol: alcohol abuse
-- column anemdef: anemias due to other nutritional deficiencies; only when present on admission
-- column autoimmune: autoimmune conditions
-- column bldloss: chronic blood loss (iron deficiency); only when present on admission
-- column cancer_leuk: leukemia
-- column cancer_lymph: lymphoma
-- column cancer_mets: metastatic cancer
-- column cancer_nsitu: solid tumor without metastasis, in situ
-- column cancer_solid: solid tumor without metastasis, malignant
-- column cbvd: cerebrovascular disease; only when present on admission
-- column coag: coagulopathy; only when present on admission
-- column dementia: dementia
-- column depress: depression
-- column diab_cx: diabetes with chronic complications
-- column diab_uncx: diabetes without chronic complications
-- column drug_abuse: drug abuse
-- column hf: heart failure; only when present on admission
-- column htn_cx: hypertension, complicated
-- column htn_uncx: hypertension, uncomplicated
-- column liver_mld: liver disease, mild; only when present on admission
-- column liver_sev: liver disease and failure, moderate to severe; only when present on admission
-- column lung_chronic: chronic pulmonary disease
-- column neuro_movt: neurological disorders affecting movement; only when present on admission
-- column neuro_oth: other neurological disorders; only when present on admission
-- column neuro_seiz: seizures and epilepsy; only when present on admission
-- column obese: obesity
-- column paralysis: paralysis; only when present on admission
-- column perivasc: peripheral vascular disease
-- column psychoses: psychoses; only when present on admission
-- column pulmcirc: pulmonary circulation disease; only when present on admission
-- column renlfl_mod: renal (kidney) failure and disease, moderate; only when present on admission
-- column renlfl_sev: renal (kidney) failure and disease, severe; only when present on admission
-- column thyroid_hypo: hypothyroidism
-- column thyroid_oth: other thyroid disorders
-- column ulcer_peptic: peptic ulcer with bleeding; only when present on admission
-- column valve: valvular disease; only when present on admission
-- column wghtloss: weight loss; only when present on admission

-- Not cut into concept views: two thirds of it are one line for each measure.
-- A diagnosis is secondary by its rank above 1, or without a rank where another one has rank 1; all measures are null
-- where no diagnosis has a rank. Admitting diagnoses and problem lists are not looked at.
WITH diagnoses AS (
    SELECT
        patient_id,
        encounter_id,
        code,
        rank AS priority,
        present_on_admission,
        recorded_at
    FROM patient_conditions
    WHERE code_system = 'icd10cm' AND encounter_id IS NOT NULL AND coalesce(kind, 'F') NOT IN ('A', 'problem')
),

visits AS (
    SELECT
        patient_id,
        encounter_id,
        max(CASE WHEN priority = 1 THEN 1 ELSE 0 END) AS has_principal,
        max(CASE WHEN priority >= 1 THEN 1 ELSE 0 END) AS has_rank,
        max(CASE WHEN present_on_admission IS NOT NULL THEN 1 ELSE 0 END) AS has_indicator,
        min(recorded_at) AS recorded_from,
        max(recorded_at) AS recorded_until,
        count(CASE WHEN priority > 1 THEN 1 END) AS n_ranked,
        count(CASE WHEN coalesce(priority, 0) < 1 THEN 1 END) AS n_without
    FROM diagnoses
    GROUP BY patient_id, encounter_id
),

secondary AS (
    SELECT
        diagnoses.patient_id,
        diagnoses.encounter_id,
        mapped.comorbidity,
        exempt.icd10cm IS NOT NULL OR diagnoses.present_on_admission IN ('Y', 'W') AS is_present,
        exempt.icd10cm IS NULL AND diagnoses.present_on_admission IN ('N', 'U') AS is_not_present
    FROM diagnoses
    INNER JOIN visits
        ON diagnoses.patient_id = visits.patient_id AND diagnoses.encounter_id = visits.encounter_id
    INNER JOIN codes.ahrq_elixhauser_2025_codes AS mapped ON diagnoses.code = mapped.icd10cm
    LEFT JOIN codes.poa_exempt_fy2025 AS exempt ON diagnoses.code = exempt.icd10cm
    WHERE diagnoses.priority > 1 OR (visits.has_principal = 1 AND coalesce(diagnoses.priority, 0) < 1)
),

groups AS (
    SELECT
        patient_id,
        encounter_id,
        comorbidity,
        max(CASE WHEN is_present THEN 1 ELSE 0 END) AS present,
        max(CASE WHEN is_not_present THEN 1 ELSE 0 END) AS not_present
    FROM secondary
    GROUP BY patient_id, encounter_id, comorbidity
),

counting AS (
    SELECT
        groups.patient_id,
        groups.encounter_id,
        groups.comorbidity
    FROM groups
    INNER JOIN codes.ahrq_elixhauser_2025_measures AS measures ON groups.comorbidity = measures.comorbidity
    INNER JOIN visits ON groups.patient_id = visits.patient_id AND groups.encounter_id = visits.encounter_id
    WHERE
        measures.needs_present_on_admission = 'no'
        OR (groups.present = 1 AND visits.has_indicator = 1)
    UNION ALL
    -- A stroke counts when it was there on admission; a sequela of one only where no stroke began in hospital.
    SELECT
        groups.patient_id,
        groups.encounter_id,
        'cbvd' AS comorbidity
    FROM groups
    INNER JOIN visits ON groups.patient_id = visits.patient_id AND groups.encounter_id = visits.encounter_id
    WHERE groups.comorbidity IN ('cbvd_poa', 'cbvd_sqla') AND visits.has_indicator = 1
    GROUP BY groups.patient_id, groups.encounter_id
    HAVING
        max(CASE WHEN groups.comorbidity = 'cbvd_poa' THEN groups.present ELSE 0 END) = 1
        OR (
            max(CASE WHEN groups.comorbidity = 'cbvd_sqla' THEN groups.present ELSE 0 END) = 1
            AND max(CASE WHEN groups.comorbidity = 'cbvd_poa' THEN groups.not_present ELSE 0 END) = 0
        )
),

effective_comorbidities AS (
    SELECT
        mild.patient_id,
        mild.encounter_id,
        mild.comorbidity
    FROM counting AS mild
    LEFT JOIN codes.ahrq_elixhauser_2025_hierarchy AS hierarchy ON mild.comorbidity = hierarchy.comorbidity
    LEFT JOIN counting AS severe
        ON
            mild.patient_id = severe.patient_id
            AND mild.encounter_id = severe.encounter_id
            AND hierarchy.superseded_by = severe.comorbidity
    GROUP BY mild.patient_id, mild.encounter_id, mild.comorbidity
    HAVING count(severe.comorbidity) = 0
),

totals AS (
    SELECT
        ec.patient_id,
        ec.encounter_id,
        sum(measures.readmission_weight) AS readmission_index,
        sum(measures.mortality_weight) AS mortality_index,
        max(CASE WHEN ec.comorbidity = 'aids' THEN 1 ELSE 0 END) AS aids,
        max(CASE WHEN ec.comorbidity = 'alcohol' THEN 1 ELSE 0 END) AS alcohol,
        max(CASE WHEN ec.comorbidity = 'anemdef' THEN 1 ELSE 0 END) AS anemdef,
        max(CASE WHEN ec.comorbidity = 'autoimmune' THEN 1 ELSE 0 END) AS autoimmune,
        max(CASE WHEN ec.comorbidity = 'bldloss' THEN 1 ELSE 0 END) AS bldloss,
        max(CASE WHEN ec.comorbidity = 'cancer_leuk' THEN 1 ELSE 0 END) AS cancer_leuk,
        max(CASE WHEN ec.comorbidity = 'cancer_lymph' THEN 1 ELSE 0 END) AS cancer_lymph,
        max(CASE WHEN ec.comorbidity = 'cancer_mets' THEN 1 ELSE 0 END) AS cancer_mets,
        max(CASE WHEN ec.comorbidity = 'cancer_nsitu' THEN 1 ELSE 0 END) AS cancer_nsitu,
        max(CASE WHEN ec.comorbidity = 'cancer_solid' THEN 1 ELSE 0 END) AS cancer_solid,
        max(CASE WHEN ec.comorbidity = 'cbvd' THEN 1 ELSE 0 END) AS cbvd,
        max(CASE WHEN ec.comorbidity = 'coag' THEN 1 ELSE 0 END) AS coag,
        max(CASE WHEN ec.comorbidity = 'dementia' THEN 1 ELSE 0 END) AS dementia,
        max(CASE WHEN ec.comorbidity = 'depress' THEN 1 ELSE 0 END) AS depress,
        max(CASE WHEN ec.comorbidity = 'diab_cx' THEN 1 ELSE 0 END) AS diab_cx,
        max(CASE WHEN ec.comorbidity = 'diab_uncx' THEN 1 ELSE 0 END) AS diab_uncx,
        max(CASE WHEN ec.comorbidity = 'drug_abuse' THEN 1 ELSE 0 END) AS drug_abuse,
        max(CASE WHEN ec.comorbidity = 'hf' THEN 1 ELSE 0 END) AS hf,
        max(CASE WHEN ec.comorbidity = 'htn_cx' THEN 1 ELSE 0 END) AS htn_cx,
        max(CASE WHEN ec.comorbidity = 'htn_uncx' THEN 1 ELSE 0 END) AS htn_uncx,
        max(CASE WHEN ec.comorbidity = 'liver_mld' THEN 1 ELSE 0 END) AS liver_mld,
        max(CASE WHEN ec.comorbidity = 'liver_sev' THEN 1 ELSE 0 END) AS liver_sev,
        max(CASE WHEN ec.comorbidity = 'lung_chronic' THEN 1 ELSE 0 END) AS lung_chronic,
        max(CASE WHEN ec.comorbidity = 'neuro_movt' THEN 1 ELSE 0 END) AS neuro_movt,
        max(CASE WHEN ec.comorbidity = 'neuro_oth' THEN 1 ELSE 0 END) AS neuro_oth,
        max(CASE WHEN ec.comorbidity = 'neuro_seiz' THEN 1 ELSE 0 END) AS neuro_seiz,
        max(CASE WHEN ec.comorbidity = 'obese' THEN 1 ELSE 0 END) AS obese,
        max(CASE WHEN ec.comorbidity = 'paralysis' THEN 1 ELSE 0 END) AS paralysis,
        max(CASE WHEN ec.comorbidity = 'perivasc' THEN 1 ELSE 0 END) AS perivasc,
        max(CASE WHEN ec.comorbidity = 'psychoses' THEN 1 ELSE 0 END) AS psychoses,
        max(CASE WHEN ec.comorbidity = 'pulmcirc' THEN 1 ELSE 0 END) AS pulmcirc,
        max(CASE WHEN ec.comorbidity = 'renlfl_mod' THEN 1 ELSE 0 END) AS renlfl_mod,
        max(CASE WHEN ec.comorbidity = 'renlfl_sev' THEN 1 ELSE 0 END) AS renlfl_sev,
        max(CASE WHEN ec.comorbidity = 'thyroid_hypo' THEN 1 ELSE 0 END) AS thyroid_hypo,
        max(CASE WHEN ec.comorbidity = 'thyroid_oth' THEN 1 ELSE 0 END) AS thyroid_oth,
        max(CASE WHEN ec.comorbidity = 'ulcer_peptic' THEN 1 ELSE 0 END) AS ulcer_peptic,
        max(CASE WHEN ec.comorbidity = 'valve' THEN 1 ELSE 0 END) AS valve,
        max(CASE WHEN ec.comorbidity = 'wghtloss' THEN 1 ELSE 0 END) AS wghtloss
    FROM effective_comorbidities AS ec
    INNER JOIN codes.ahrq_elixhauser_2025_measures AS measures ON ec.comorbidity = measures.comorbidity
    GROUP BY ec.patient_id, ec.encounter_id
)

SELECT
    visits.patient_id,
    visits.encounter_id,
    visits.recorded_from,
    visits.recorded_until,
    'AHRQ Elixhauser Refined v2025.1' AS variant,
    visits.has_indicator = 1 AS has_present_on_admission,
    visits.n_ranked + CASE WHEN visits.has_principal = 1 THEN visits.n_without ELSE 0 END AS n_secondary,
    CASE WHEN visits.has_principal = 1 THEN 0 ELSE visits.n_without END AS n_unranked,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.aids, 0) END AS aids,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.alcohol, 0) END AS alcohol,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.anemdef, 0) END AS anemdef,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.autoimmune, 0) END AS autoimmune,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.bldloss, 0) END AS bldloss,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.cancer_leuk, 0) END AS cancer_leuk,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.cancer_lymph, 0) END AS cancer_lymph,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.cancer_mets, 0) END AS cancer_mets,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.cancer_nsitu, 0) END AS cancer_nsitu,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.cancer_solid, 0) END AS cancer_solid,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.cbvd, 0) END AS cbvd,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.coag, 0) END AS coag,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.dementia, 0) END AS dementia,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.depress, 0) END AS depress,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.diab_cx, 0) END AS diab_cx,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.diab_uncx, 0) END AS diab_uncx,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.drug_abuse, 0) END AS drug_abuse,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.hf, 0) END AS hf,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.htn_cx, 0) END AS htn_cx,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.htn_uncx, 0) END AS htn_uncx,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.liver_mld, 0) END AS liver_mld,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.liver_sev, 0) END AS liver_sev,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.lung_chronic, 0) END AS lung_chronic,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.neuro_movt, 0) END AS neuro_movt,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.neuro_oth, 0) END AS neuro_oth,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.neuro_seiz, 0) END AS neuro_seiz,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.obese, 0) END AS obese,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.paralysis, 0) END AS paralysis,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.perivasc, 0) END AS perivasc,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.psychoses, 0) END AS psychoses,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.pulmcirc, 0) END AS pulmcirc,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.renlfl_mod, 0) END AS renlfl_mod,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.renlfl_sev, 0) END AS renlfl_sev,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.thyroid_hypo, 0) END AS thyroid_hypo,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.thyroid_oth, 0) END AS thyroid_oth,
    CASE
        WHEN visits.has_rank = 1 AND visits.has_indicator = 1
            THEN coalesce(totals.ulcer_peptic, 0)
    END AS ulcer_peptic,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.valve, 0) END AS valve,
    CASE WHEN visits.has_rank = 1 AND visits.has_indicator = 1 THEN coalesce(totals.wghtloss, 0) END AS wghtloss,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.readmission_index, 0)::INT END AS readmission_index,
    CASE WHEN visits.has_rank = 1 THEN coalesce(totals.mortality_index, 0)::INT END AS mortality_index,
    CASE WHEN visits.has_rank = 0 THEN 38 WHEN visits.has_indicator = 0 THEN 18 ELSE 0 END AS n_missing
FROM visits
LEFT JOIN totals
    ON visits.patient_id = totals.patient_id AND visits.encounter_id = totals.encounter_id

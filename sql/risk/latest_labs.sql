-- title: Latest laboratory values
-- description: At each time at which a laboratory input of a score was observed, the latest value of each of them and
--   its time, over all visits of the patient. A score decides by that time how old an input may be. Results that are
--   only a bound (< or >) and implausible ones are left out; several of one time are averaged.
-- grain: patient_id, measured_at
-- source: lab_results
-- column measured_at: when at least one of the inputs was observed
-- column age_years: age in years at measured_at; 90 stands for 90 and over
-- column creatinine: creatinine, mg/dL; the latest up to measured_at
-- column creatinine_at: when that was observed
-- column bilirubin_total: total bilirubin, mg/dL; the latest up to measured_at
-- column bilirubin_total_at: when that was observed
-- column inr: international normalised ratio; the latest up to measured_at
-- column inr_at: when that was observed
-- column sodium: sodium, mmol/L; the latest up to measured_at
-- column sodium_at: when that was observed
-- column potassium: potassium, mmol/L; the latest up to measured_at
-- column potassium_at: when that was observed
-- column chloride: chloride, mmol/L; the latest up to measured_at
-- column chloride_at: when that was observed
-- column bicarbonate: bicarbonate, mmol/L; the latest up to measured_at
-- column bicarbonate_at: when that was observed
-- column calcium: total calcium, mg/dL; the latest up to measured_at
-- column calcium_at: when that was observed
-- column albumin: albumin, g/dL; the latest up to measured_at
-- column albumin_at: when that was observed
-- column ast: aspartate aminotransferase, U/L; the latest up to measured_at
-- column ast_at: when that was observed
-- column alt: alanine aminotransferase, U/L; the latest up to measured_at
-- column alt_at: when that was observed
-- column platelets: platelets, 10^9/L; the latest up to measured_at
-- column platelets_at: when that was observed
-- column wbc: white blood cells, 10^9/L; the latest up to measured_at
-- column wbc_at: when that was observed
-- column hemoglobin: hemoglobin, g/dL; the latest up to measured_at
-- column hemoglobin_at: when that was observed
-- column cholesterol_total: total cholesterol, mg/dL; the latest up to measured_at
-- column cholesterol_total_at: when that was observed
-- column hdl: HDL cholesterol, mg/dL; the latest up to measured_at
-- column hdl_at: when that was observed
-- column triglycerides: triglycerides, mg/dL; the latest up to measured_at
-- column triglycerides_at: when that was observed
-- column pao2: arterial oxygen pressure, mmHg; the latest up to measured_at
-- column pao2_at: when that was observed
-- column paco2: arterial carbon dioxide pressure, mmHg; the latest up to measured_at
-- column paco2_at: when that was observed
-- column fio2: inspired oxygen, fraction or percent as `lab_results` has it; the latest up to measured_at
-- column fio2_at: when that was observed
WITH measurements AS (
    SELECT
        patient_id,
        observed_at AS measured_at,
        max(age_years) AS age_years,
        avg(CASE WHEN analyte = 'creatinine' THEN value END) AS creatinine,
        avg(CASE WHEN analyte = 'bilirubin_total' THEN value END) AS bilirubin_total,
        avg(CASE WHEN analyte = 'inr' THEN value END) AS inr,
        avg(CASE WHEN analyte = 'sodium' THEN value END) AS sodium,
        avg(CASE WHEN analyte = 'potassium' THEN value END) AS potassium,
        avg(CASE WHEN analyte = 'chloride' THEN value END) AS chloride,
        avg(CASE WHEN analyte = 'bicarbonate' THEN value END) AS bicarbonate,
        avg(CASE WHEN analyte = 'calcium' THEN value END) AS calcium,
        avg(CASE WHEN analyte = 'albumin' THEN value END) AS albumin,
        avg(CASE WHEN analyte = 'ast' THEN value END) AS ast,
        avg(CASE WHEN analyte = 'alt' THEN value END) AS alt,
        avg(CASE WHEN analyte = 'platelets' THEN value END) AS platelets,
        avg(CASE WHEN analyte = 'wbc' THEN value END) AS wbc,
        avg(CASE WHEN analyte = 'hemoglobin' THEN value END) AS hemoglobin,
        avg(CASE WHEN analyte = 'cholesterol_total' THEN value END) AS cholesterol_total,
        avg(CASE WHEN analyte = 'hdl' THEN value END) AS hdl,
        avg(CASE WHEN analyte = 'triglycerides' THEN value END) AS triglycerides,
        avg(CASE WHEN analyte = 'pao2' THEN value END) AS pao2,
        avg(CASE WHEN analyte = 'paco2' THEN value END) AS paco2,
        avg(CASE WHEN analyte = 'fio2' THEN value END) AS fio2
    FROM lab_results
    WHERE
        analyte IN (
            'creatinine', 'bilirubin_total', 'inr', 'sodium', 'potassium', 'chloride', 'bicarbonate',
            'calcium', 'albumin', 'ast', 'alt', 'platelets', 'wbc', 'hemoglobin', 'cholesterol_total', 'hdl',
            'triglycerides', 'pao2', 'paco2', 'fio2'
        )
        AND comparator IS NULL
        AND coalesce(plausible, TRUE)
        AND observed_at IS NOT NULL
    GROUP BY patient_id, observed_at
)

SELECT
    patient_id,
    measured_at,
    age_years,
    last_value(creatinine IGNORE NULLS) OVER so_far AS creatinine,
    max(CASE WHEN creatinine IS NOT NULL THEN measured_at END) OVER so_far AS creatinine_at,
    last_value(bilirubin_total IGNORE NULLS) OVER so_far AS bilirubin_total,
    max(CASE WHEN bilirubin_total IS NOT NULL THEN measured_at END) OVER so_far AS bilirubin_total_at,
    last_value(inr IGNORE NULLS) OVER so_far AS inr,
    max(CASE WHEN inr IS NOT NULL THEN measured_at END) OVER so_far AS inr_at,
    last_value(sodium IGNORE NULLS) OVER so_far AS sodium,
    max(CASE WHEN sodium IS NOT NULL THEN measured_at END) OVER so_far AS sodium_at,
    last_value(potassium IGNORE NULLS) OVER so_far AS potassium,
    max(CASE WHEN potassium IS NOT NULL THEN measured_at END) OVER so_far AS potassium_at,
    last_value(chloride IGNORE NULLS) OVER so_far AS chloride,
    max(CASE WHEN chloride IS NOT NULL THEN measured_at END) OVER so_far AS chloride_at,
    last_value(bicarbonate IGNORE NULLS) OVER so_far AS bicarbonate,
    max(CASE WHEN bicarbonate IS NOT NULL THEN measured_at END) OVER so_far AS bicarbonate_at,
    last_value(calcium IGNORE NULLS) OVER so_far AS calcium,
    max(CASE WHEN calcium IS NOT NULL THEN measured_at END) OVER so_far AS calcium_at,
    last_value(albumin IGNORE NULLS) OVER so_far AS albumin,
    max(CASE WHEN albumin IS NOT NULL THEN measured_at END) OVER so_far AS albumin_at,
    last_value(ast IGNORE NULLS) OVER so_far AS ast,
    max(CASE WHEN ast IS NOT NULL THEN measured_at END) OVER so_far AS ast_at,
    last_value(alt IGNORE NULLS) OVER so_far AS alt,
    max(CASE WHEN alt IS NOT NULL THEN measured_at END) OVER so_far AS alt_at,
    last_value(platelets IGNORE NULLS) OVER so_far AS platelets,
    max(CASE WHEN platelets IS NOT NULL THEN measured_at END) OVER so_far AS platelets_at,
    last_value(wbc IGNORE NULLS) OVER so_far AS wbc,
    max(CASE WHEN wbc IS NOT NULL THEN measured_at END) OVER so_far AS wbc_at,
    last_value(hemoglobin IGNORE NULLS) OVER so_far AS hemoglobin,
    max(CASE WHEN hemoglobin IS NOT NULL THEN measured_at END) OVER so_far AS hemoglobin_at,
    last_value(cholesterol_total IGNORE NULLS) OVER so_far AS cholesterol_total,
    max(CASE WHEN cholesterol_total IS NOT NULL THEN measured_at END) OVER so_far AS cholesterol_total_at,
    last_value(hdl IGNORE NULLS) OVER so_far AS hdl,
    max(CASE WHEN hdl IS NOT NULL THEN measured_at END) OVER so_far AS hdl_at,
    last_value(triglycerides IGNORE NULLS) OVER so_far AS triglycerides,
    max(CASE WHEN triglycerides IS NOT NULL THEN measured_at END) OVER so_far AS triglycerides_at,
    last_value(pao2 IGNORE NULLS) OVER so_far AS pao2,
    max(CASE WHEN pao2 IS NOT NULL THEN measured_at END) OVER so_far AS pao2_at,
    last_value(paco2 IGNORE NULLS) OVER so_far AS paco2,
    max(CASE WHEN paco2 IS NOT NULL THEN measured_at END) OVER so_far AS paco2_at,
    last_value(fio2 IGNORE NULLS) OVER so_far AS fio2,
    max(CASE WHEN fio2 IS NOT NULL THEN measured_at END) OVER so_far AS fio2_at
FROM measurements
WINDOW so_far AS (PARTITION BY patient_id ORDER BY measured_at ROWS UNBOUNDED PRECEDING)

-- title: Latest vital signs
-- description: At each time at which a vital sign was measured, the latest value of every vital sign of the visit and
--   its time. A score decides by that time how old an input may be.
-- grain: patient_id, encounter_id, measured_at
-- source: vital_signs
-- column measured_at: when one of the inputs was measured
-- column age_years: age in years at measured_at; 90 stands for 90 and over
-- column heart_rate: heart rate, beats per minute; the latest up to measured_at
-- column heart_rate_at: when that was measured
-- column respiratory_rate: breaths per minute; the latest up to measured_at
-- column respiratory_rate_at: when that was measured
-- column systolic_bp: systolic blood pressure, mmHg; the latest up to measured_at
-- column systolic_bp_at: when that was measured
-- column diastolic_bp: diastolic blood pressure, mmHg; the latest up to measured_at
-- column diastolic_bp_at: when that was measured
-- column mean_bp: mean arterial pressure as measured, mmHg; the latest up to measured_at
-- column mean_bp_at: when that was measured
-- column temperature: body temperature, degrees Celsius; the latest up to measured_at
-- column temperature_at: when that was measured
-- column spo2: oxygen saturation, percent; the latest up to measured_at
-- column spo2_at: when that was measured
-- column oxygen_supplement: whether oxygen was given; the latest up to measured_at
-- column oxygen_supplement_at: when that was measured
-- column consciousness: A, C, V, P or U; the latest up to measured_at
-- column consciousness_at: when that was measured
-- column gcs: Glasgow Coma Scale; the latest up to measured_at
-- column gcs_at: when that was measured
SELECT
    patient_id,
    encounter_id,
    measured_at,
    age_years,
    last_value(heart_rate IGNORE NULLS) OVER so_far AS heart_rate,
    max(CASE WHEN heart_rate IS NOT NULL THEN measured_at END) OVER so_far AS heart_rate_at,
    last_value(respiratory_rate IGNORE NULLS) OVER so_far AS respiratory_rate,
    max(CASE WHEN respiratory_rate IS NOT NULL THEN measured_at END) OVER so_far AS respiratory_rate_at,
    last_value(systolic_bp IGNORE NULLS) OVER so_far AS systolic_bp,
    max(CASE WHEN systolic_bp IS NOT NULL THEN measured_at END) OVER so_far AS systolic_bp_at,
    last_value(diastolic_bp IGNORE NULLS) OVER so_far AS diastolic_bp,
    max(CASE WHEN diastolic_bp IS NOT NULL THEN measured_at END) OVER so_far AS diastolic_bp_at,
    last_value(mean_bp IGNORE NULLS) OVER so_far AS mean_bp,
    max(CASE WHEN mean_bp IS NOT NULL THEN measured_at END) OVER so_far AS mean_bp_at,
    last_value(temperature IGNORE NULLS) OVER so_far AS temperature,
    max(CASE WHEN temperature IS NOT NULL THEN measured_at END) OVER so_far AS temperature_at,
    last_value(spo2 IGNORE NULLS) OVER so_far AS spo2,
    max(CASE WHEN spo2 IS NOT NULL THEN measured_at END) OVER so_far AS spo2_at,
    last_value(oxygen_supplement IGNORE NULLS) OVER so_far AS oxygen_supplement,
    max(CASE WHEN oxygen_supplement IS NOT NULL THEN measured_at END) OVER so_far AS oxygen_supplement_at,
    last_value(consciousness IGNORE NULLS) OVER so_far AS consciousness,
    max(CASE WHEN consciousness IS NOT NULL THEN measured_at END) OVER so_far AS consciousness_at,
    last_value(gcs IGNORE NULLS) OVER so_far AS gcs,
    max(CASE WHEN gcs IS NOT NULL THEN measured_at END) OVER so_far AS gcs_at
FROM vital_signs
WINDOW so_far AS (PARTITION BY patient_id, encounter_id ORDER BY measured_at ROWS UNBOUNDED PRECEDING)

-- title: Emergency alerts
-- description: Vital signs of patients in the emergency department that call for someone at once. Vital signs of a
--   visit that is known not to be an emergency are left out; those without a known visit are not.
-- grain: patient_id, encounter_id, measured_at, alert
-- source: rules of the project: systolic above 180 or below 90 mmHg, heart rate above 120 or below 50 per minute
-- column measured_at: when it was measured
-- column alert: BLOOD_PRESSURE_CRITICAL or HEART_RATE_ABNORMAL
-- column priority: HIGH or MEDIUM
-- column vital: systolic_bp or heart_rate
-- column value: mmHg, or beats per minute
-- column direction: low or high
-- column age_years: age in years at that time; 90 stands for 90 and over
WITH beyond AS (
    SELECT
        v.patient_id,
        v.encounter_id,
        v.measured_at,
        v.systolic_bp,
        v.heart_rate,
        v.age_years
    FROM emergency_vitals AS v
    LEFT JOIN encounters_current AS e ON v.encounter_id = e.encounter_id AND v.patient_id = e.patient_id
    WHERE
        (v.systolic_bp > 180 OR v.systolic_bp < 90 OR v.heart_rate > 120 OR v.heart_rate < 50)
        AND (e.class IS NULL OR e.via_emergency)
)

SELECT
    patient_id,
    encounter_id,
    measured_at,
    'BLOOD_PRESSURE_CRITICAL' AS alert,
    'HIGH' AS priority,
    'systolic_bp' AS vital,
    systolic_bp AS value,
    CASE WHEN systolic_bp < 90 THEN 'low' ELSE 'high' END AS direction,
    age_years
FROM beyond
WHERE systolic_bp > 180 OR systolic_bp < 90
UNION ALL
SELECT
    patient_id,
    encounter_id,
    measured_at,
    'HEART_RATE_ABNORMAL' AS alert,
    'MEDIUM' AS priority,
    'heart_rate' AS vital,
    heart_rate AS value,
    CASE WHEN heart_rate < 50 THEN 'low' ELSE 'high' END AS direction,
    age_years
FROM beyond
WHERE heart_rate > 120 OR heart_rate < 50

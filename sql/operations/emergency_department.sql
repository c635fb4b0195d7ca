-- title: Emergency department
-- description: One row per emergency visit: how it went, how long it took, and what alerted: vital signs beyond the
--   emergency limits and critical results.
-- grain: patient_id, encounter_id
-- source: rules of the project (see emergency_alerts, critical_results); HL7 table 0112 for the outcome
-- column arrived_at: admission or registration
-- column left_at: end of the visit; null while it lasts
-- column hours: from arrival to the end of the visit
-- column emergency_hours: from arrival until the patient left the first unit; null for one admitted straight to a ward
-- column class: class of the visit: emergency, or another where it went on
-- column outcome: discharged, admitted, transferred, left against advice, died or present
-- column first_systolic_bp: first systolic pressure, mmHg
-- column first_heart_rate: first heart rate per minute
-- column n_high_alerts: blood pressure alerts
-- column n_medium_alerts: heart rate alerts
-- column n_critical_results: critical results
-- column highest_priority: CRITICAL, HIGH, MEDIUM or null
-- column age_years: age in years at admission; 90 stands for 90 and over
WITH visits AS (
    SELECT
        patient_id,
        encounter_id,
        class,
        status,
        admission_type,
        admitted_at,
        discharged_at,
        discharge_disposition,
        age_years
    FROM encounters_current
    WHERE via_emergency AND coalesce(status, '') <> 'cancelled'
),

first_stays AS (
    SELECT
        patient_id,
        encounter_id,
        unit,
        next_unit,
        hours
    FROM unit_stays
    WHERE nth = 1
),

readings AS (
    SELECT
        patient_id,
        encounter_id,
        arg_min(systolic_bp, CASE WHEN systolic_bp IS NOT NULL THEN measured_at END) AS first_systolic_bp,
        arg_min(heart_rate, CASE WHEN heart_rate IS NOT NULL THEN measured_at END) AS first_heart_rate,
        count(CASE WHEN systolic_bp > 180 OR systolic_bp < 90 THEN 1 END) AS n_high_alerts,
        count(CASE WHEN heart_rate > 120 OR heart_rate < 50 THEN 1 END) AS n_medium_alerts
    FROM emergency_vitals
    GROUP BY patient_id, encounter_id
),

criticals AS (
    SELECT
        patient_id,
        encounter_id,
        count(*) AS n_critical_results,
        count(CASE WHEN priority = 'CRITICAL' THEN 1 END) AS n_top
    FROM critical_results
    GROUP BY patient_id, encounter_id
)

SELECT
    v.patient_id,
    v.encounter_id,
    v.admitted_at AS arrived_at,
    v.discharged_at AS left_at,
    date_diff('minute', v.admitted_at, v.discharged_at) / 60.0 AS hours,
    CASE
        WHEN s.next_unit IS NOT NULL THEN s.hours
        WHEN v.class = 'emergency' THEN date_diff('minute', v.admitted_at, v.discharged_at) / 60.0
    END AS emergency_hours,
    s.unit AS first_unit,
    v.class,
    v.admission_type,
    CASE
        WHEN v.discharge_disposition IN ('20', '40', '41', '42') THEN 'died'
        WHEN v.class NOT IN ('emergency', 'outpatient') THEN 'admitted'
        WHEN v.discharged_at IS NULL THEN 'present'
        WHEN v.discharge_disposition IN ('02', '05') THEN 'transferred'
        WHEN v.discharge_disposition = '07' THEN 'left against advice'
        WHEN v.discharge_disposition = '09' THEN 'admitted'
        ELSE 'discharged'
    END AS outcome,
    r.first_systolic_bp,
    r.first_heart_rate,
    coalesce(r.n_high_alerts, 0) AS n_high_alerts,
    coalesce(r.n_medium_alerts, 0) AS n_medium_alerts,
    coalesce(c.n_critical_results, 0) AS n_critical_results,
    CASE
        WHEN c.n_top > 0 THEN 'CRITICAL'
        WHEN r.n_high_alerts > 0 OR c.n_critical_results > 0 THEN 'HIGH'
        WHEN r.n_medium_alerts > 0 THEN 'MEDIUM'
    END AS highest_priority,
    v.age_years
FROM visits AS v
LEFT JOIN first_stays AS s ON v.patient_id = s.patient_id AND v.encounter_id = s.encounter_id
LEFT JOIN readings AS r ON v.patient_id = r.patient_id AND v.encounter_id = r.encounter_id
LEFT JOIN criticals AS c ON v.patient_id = c.patient_id AND v.encounter_id = c.encounter_id

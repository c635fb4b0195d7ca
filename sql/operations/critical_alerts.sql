-- title: Critical alerts
-- description: Each critical result as an alert: its priority, when the laboratory reported it, and, where the messages
--   tell, when a clinician acknowledged it. A message acknowledges a result by a further result of the same order with
--   the code of an acknowledgement, whose value is the time.
-- grain: record_id, ordinal
-- source: critical_results; codes.analytes (critical_acknowledgement)
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column analyte: name of the analyte, such as potassium
-- column code: code of the result
-- column unit: unit of value
-- column priority: CRITICAL or HIGH
-- column observed_at: when it was observed
-- column reported_at: when the laboratory reported it
-- column acknowledged_at: when a clinician first confirmed it; null where no message tells
-- column minutes_to_acknowledgement: from report to acknowledgement; null if that would be negative
-- column minutes_to_report: from collection to report
-- column state: acknowledged or open
-- column care_unit: unit of the visit: where the patient is, or was last
-- column age_years: age in years at that time; 90 stands for 90 and over
WITH acknowledgements AS (
    SELECT
        o.patient_id,
        coalesce(o.order_id, o.placer_order_id) AS order_key,
        min(coalesce(v.value_at, o.observed_at)) AS acknowledged_at
    FROM results_current AS o
    INNER JOIN analyte_names AS a ON upper(o.code) = a.code AND a.analyte = 'critical_acknowledgement'
    LEFT JOIN observations AS v ON o.record_id = v.record_id AND o.ordinal = v.ordinal
    GROUP BY o.patient_id, coalesce(o.order_id, o.placer_order_id)
)

SELECT
    c.record_id,
    c.ordinal,
    c.patient_id,
    c.encounter_id,
    c.order_id,
    c.analyte,
    c.code,
    c.code_system,
    c.value,
    c.unit,
    c.flag,
    c.direction,
    c.basis,
    c.priority,
    c.observed_at,
    c.reported_at,
    k.acknowledged_at,
    date_diff('minute', c.observed_at, c.reported_at) AS minutes_to_report,
    CASE
        WHEN k.acknowledged_at >= c.reported_at THEN date_diff('minute', c.reported_at, k.acknowledged_at)
    END AS minutes_to_acknowledgement,
    CASE WHEN k.acknowledged_at IS NULL THEN 'open' ELSE 'acknowledged' END AS state,
    e.class,
    e.unit AS care_unit,
    c.age_years
FROM critical_results AS c
LEFT JOIN acknowledgements AS k ON c.order_id = k.order_key AND c.patient_id = k.patient_id
LEFT JOIN encounters_current AS e ON c.encounter_id = e.encounter_id AND c.patient_id = e.patient_id

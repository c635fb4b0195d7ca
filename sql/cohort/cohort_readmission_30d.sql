-- title: Cohort: readmission within 30 days
-- description: Every inpatient visit that has ended, whether it is an index admission, why not, and the next inpatient
--   visit of the patient. A readmission begins on the day of the discharge or up to 30 days later, by days of the
--   calendar. It is planned where its admission type is elective or the disposition says so (81 to 95).
-- grain: patient_id, encounter_id
-- source: after CMS, Hospital-Wide All-Cause Unplanned Readmission Measure; HL7 0112 (disposition), 0007 (admission
--   type)
-- column age_years: age in years; 90 stands for 90 and over
-- column is_index: whether it is an index admission
-- column exclusion: died, transferred, against-advice or continued; null for an index admission
-- column length_of_stay_days: days between admission and discharge
-- column readmission_encounter_id: next inpatient visit of the patient, whenever it was
-- column readmitted_at: when that began
-- column days_to_readmission: days of the calendar (of the session's time zone) between discharge and it
-- column readmitted_30d: whether an index admission was followed by one within 30 days
-- column readmission_planned: whether that one was planned; null where nothing tells
-- column followed_days: days between the discharge and the latest record about the patient: below 30 a readmission may
--   yet come

-- Not an index admission: the patient died, was transferred to another acute hospital (by the disposition, or by a stay
-- in another hospital that begins on the day of the discharge or the next), left against advice, or the stay goes on:
-- it overlaps the next, or that begins on the day of the discharge in the same hospital with the same principal
-- diagnosis.
WITH principal AS (
    SELECT
        patient_id,
        encounter_id,
        code_system,
        code,
        row_number() OVER (
            PARTITION BY patient_id, encounter_id
            ORDER BY CASE WHEN kind = 'F' THEN 0 ELSE 1 END ASC, recorded_at DESC, code ASC
        ) AS nth
    FROM patient_conditions
    WHERE rank = 1 AND encounter_id IS NOT NULL
),

admissions AS (
    SELECT
        visits.patient_id,
        visits.encounter_id,
        visits.admitted_at,
        visits.discharged_at,
        visits.length_of_stay_days,
        visits.admission_type,
        visits.discharge_disposition,
        visits.facility,
        visits.age_years,
        principal.code_system || '/' || principal.code AS diagnosis
    FROM encounters_current AS visits
    LEFT JOIN principal
        ON
            visits.patient_id = principal.patient_id
            AND visits.encounter_id = principal.encounter_id
            AND principal.nth = 1
    WHERE
        visits.class = 'inpatient'
        AND visits.admitted_at IS NOT NULL
        AND coalesce(visits.status, 'finished') <> 'cancelled'
),

stays AS (
    SELECT
        *,
        lead(encounter_id) OVER visits AS readmission_encounter_id,
        lead(admitted_at) OVER visits AS readmitted_at,
        lead(admission_type) OVER visits AS readmission_type,
        lead(facility) OVER visits AS readmission_facility,
        lead(diagnosis) OVER visits AS readmission_diagnosis
    FROM admissions
    WINDOW visits AS (PARTITION BY patient_id ORDER BY admitted_at, encounter_id)
),

followed AS (
    SELECT
        stays.*,
        patients.deceased_at,
        patients.last_stated_at,
        date_diff('day', date_trunc('day', stays.discharged_at), date_trunc('day', stays.readmitted_at))
            AS days_to_readmission,
        stays.facility <> stays.readmission_facility AS is_elsewhere
    FROM stays
    LEFT JOIN patients_current AS patients ON stays.patient_id = patients.patient_id
    WHERE stays.discharged_at IS NOT NULL
),

classified_visits AS (
    SELECT
        *,
        CASE
            WHEN discharge_disposition IN ('20', '40', '41', '42') OR deceased_at <= discharged_at THEN 'died'
            -- Acute hospitals, without and with a planned readmission: 02 and 82, 05 and 85, 43 and 88, 66 and 94.
            WHEN
                discharge_disposition IN ('02', '2', '05', '5', '43', '66', '82', '85', '88', '94')
                OR (is_elsewhere AND days_to_readmission <= 1)
                THEN 'transferred'
            WHEN discharge_disposition IN ('07', '7') THEN 'against-advice'
            WHEN readmitted_at < discharged_at THEN 'continued'
            WHEN
                days_to_readmission = 0 AND NOT coalesce(is_elsewhere, FALSE) AND diagnosis = readmission_diagnosis
                THEN 'continued'
        END AS exclusion
    FROM followed
)

SELECT
    patient_id,
    encounter_id,
    admitted_at,
    discharged_at,
    length_of_stay_days,
    admission_type,
    discharge_disposition,
    age_years,
    exclusion IS NULL AS is_index,
    exclusion,
    readmission_encounter_id,
    readmitted_at,
    days_to_readmission::INT AS days_to_readmission,
    exclusion IS NULL AND coalesce(days_to_readmission <= 30, FALSE) AS readmitted_30d,
    CASE
        WHEN readmitted_at IS NULL THEN NULL
        WHEN readmission_type = 'C' OR discharge_disposition BETWEEN '81' AND '95' THEN TRUE
        WHEN readmission_type IS NOT NULL THEN FALSE
    END AS readmission_planned,
    date_diff('second', discharged_at, last_stated_at) / 86400.0 AS followed_days
FROM classified_visits

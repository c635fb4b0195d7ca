-- title: Cohort: readmission within 30 days
-- description: Every inpatient visit that has ended, whether it is an index admission, why not, and the next inpatient
--   visit of the patient. Not an index admission: the patient died, was transferred to another hospital, left against
--   advice, or was admitted anew within a day (the same episode goes on). A readmission begins 1 to 30 days after the
--   discharge. Planned readmissions are told by an elective admission type.
-- grain: patient_id, encounter_id
-- source: after CMS, Hospital-Wide All-Cause Unplanned Readmission Measure; HL7 0112 (disposition), 0007 (admission
--   type)
-- column patient_id: Pseudonym of the patient
-- column encounter_id: Pseudonym of the visit; null where none is known
-- column age_years: Age in years; 90 stands for 90 and over
-- column is_index: Whether it is an index admission
-- column exclusion: died, transferred, against-advice or continued; null for an index admission
-- column length_of_stay_days: Days between admission and discharge
-- column readmission_encounter_id: Next inpatient visit of the patient, whenever it was
-- column readmitted_at: When that began
-- column days_to_readmission: Days between discharge and it, with their fraction
-- column readmitted_30d: Whether an index admission was followed by one within 30 days
-- column readmission_planned: Whether that one was elective; null where its type is not known
-- column followed_days: Days between the discharge and the latest record about the patient: below 30 a readmission may
--   yet come
WITH stays AS (
    SELECT
        patient_id,
        encounter_id,
        admitted_at,
        discharged_at,
        length_of_stay_days,
        admission_type,
        discharge_disposition,
        age_years,
        lead(encounter_id) OVER visits AS readmission_encounter_id,
        lead(admitted_at) OVER visits AS readmitted_at,
        lead(admission_type) OVER visits AS readmission_type
    FROM encounters_current
    WHERE class = 'inpatient' AND admitted_at IS NOT NULL AND coalesce(status, 'finished') <> 'cancelled'
    WINDOW visits AS (PARTITION BY patient_id ORDER BY admitted_at, encounter_id)
),

followed AS (
    SELECT
        stays.*,
        patients.deceased_at,
        patients.last_stated_at,
        date_diff('second', stays.discharged_at, stays.readmitted_at) / 86400.0 AS days_to_readmission
    FROM stays
    LEFT JOIN patients_current AS patients ON stays.patient_id = patients.patient_id
    WHERE stays.discharged_at IS NOT NULL
),

judged AS (
    SELECT
        *,
        CASE
            WHEN discharge_disposition IN ('20', '40', '41', '42') OR deceased_at <= discharged_at THEN 'died'
            WHEN discharge_disposition IN ('02', '2', '05', '5', '43', '66') THEN 'transferred'
            WHEN discharge_disposition IN ('07', '7') THEN 'against-advice'
            WHEN days_to_readmission < 1 THEN 'continued'
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
    days_to_readmission,
    exclusion IS NULL AND coalesce(days_to_readmission <= 30, FALSE) AS readmitted_30d,
    CASE WHEN readmission_type IS NOT NULL THEN readmission_type = 'C' END AS readmission_planned,
    date_diff('second', discharged_at, last_stated_at) / 86400.0 AS followed_days
FROM judged

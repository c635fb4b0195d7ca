-- title: Visits
-- description: One row per visit: all that its records say, folded in the order in which they were stated. A field that
--   a later record leaves out keeps its value, one that it empties on purpose loses it. A statement without a visit
--   number (PV1-19, PV1-50) is no visit here, for nothing says which other statements, a cancellation among them, speak
--   of the same one: it stays in the table encounters.
-- grain: patient_id, encounter_id
-- source: HL7 v2.9 ch. 3.3 (events A01 to A55), table 0004 (patient class).
-- column encounter_id: pseudonym of the visit; null where none is known
-- column patient_id: pseudonym of the patient
-- column class: inpatient, outpatient, emergency, preadmission, recurring, obstetrics, ...; null when never stated
-- column status: planned, in-progress, on-leave, finished or cancelled; null when no record of the visit says
-- column admitted_at: admission as stated, else the time at which the first admission or registration was stated
-- column discharged_at: discharge as stated, else the time at which it was stated; null while the visit is open
-- column length_of_stay_days: days from admission to discharge, with their fraction
-- column first_unit: where the visit began
-- column unit: where the patient is, or was last
-- column n_transfers: transfers that were not cancelled
-- column via_emergency: whether the visit was ever of class emergency, or its admission came from the emergency room
-- column age_years: age at admission; 90 stands for 90 and over
-- column first_stated_at: earliest record of the visit
-- column last_stated_at: latest record of the visit

-- Not cut into concept views: nothing else reads one of its steps.
-- A cancelled admission (A11) or pre-admission (A27, A38) leaves a visit with status cancelled; a cancelled discharge
-- (A13) opens the visit again; a cancelled transfer (A12) puts the patient back.
WITH placed AS (
    SELECT
        e.*,
        coalesce(i.patient_id, m.patient_id, e.patient_id) AS owner_id,
        (coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0)) * INTERVAL '1' DAY AS shift,
        coalesce(e.status, v.value) AS said,
        c.class AS class_name,
        concat(',', replace(coalesce(e.cleared, ''), ' ', ''), ',') AS emptied
    FROM encounters AS e
    LEFT JOIN encounter_moves AS m ON e.encounter_id = m.encounter_id AND e.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, e.patient_id) = i.old_patient_id
    LEFT JOIN codes.hl7_visit_events AS v ON e.event = v.code
    LEFT JOIN codes.encounter_classes AS c ON upper(e.class) = c.code
    WHERE e.encounter_id IS NOT NULL
),

ordered AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY owner_id, encounter_id
            ORDER BY stated_at + shift NULLS FIRST, record_id NULLS FIRST, ordinal NULLS FIRST
        ) AS nth
    FROM placed
),

-- What a later record takes back: a discharge by A13, an admission by A11, a transfer by the A12 that follows it.
classified_statements AS (
    SELECT
        *,
        coalesce(max(CASE WHEN event = 'A13' THEN nth END) OVER visit, 0) AS reopened,
        -- A27 and A38 take back a plan; where the patient was admitted all the same, they change nothing.
        coalesce(
            max(CASE WHEN said = 'cancelled' AND coalesce(event, '') NOT IN ('A27', 'A38') THEN nth END) OVER visit, 0
        ) AS cancelled,
        event = 'A02' AND coalesce(
            lead(event) OVER (
                PARTITION BY owner_id, encounter_id, coalesce(event, '') IN ('A02', 'A12') ORDER BY nth
            ), ''
        ) = 'A12' AS is_undone
    FROM ordered
    WINDOW visit AS (PARTITION BY owner_id, encounter_id)
),

-- The last statement that gave or emptied each field. Here an emptied text is '', and null in the end.
folded AS (
    SELECT
        owner_id AS patient_id,
        encounter_id,
        arg_max(
            coalesce(account_id, ''),
            CASE WHEN account_id IS NOT NULL OR emptied LIKE '%,account_id,%' THEN nth END
        ) AS account_id,
        arg_max(
            coalesce(class_name, lower(class), ''),
            CASE WHEN class IS NOT NULL OR emptied LIKE '%,class,%' THEN nth END
        ) AS class,
        arg_max(
            coalesce(admission_type, ''),
            CASE WHEN admission_type IS NOT NULL OR emptied LIKE '%,admission_type,%' THEN nth END
        ) AS admission_type,
        arg_max(
            coalesce(service, ''),
            CASE WHEN service IS NOT NULL OR emptied LIKE '%,service,%' THEN nth END
        ) AS service,
        arg_max(
            coalesce(facility, ''),
            CASE WHEN facility IS NOT NULL OR emptied LIKE '%,facility,%' THEN nth END
        ) AS facility,
        arg_max(
            coalesce(attending_id, ''),
            CASE WHEN attending_id IS NOT NULL OR emptied LIKE '%,attending_id,%' THEN nth END
        ) AS attending_id,
        arg_max(
            coalesce(referring_id, ''),
            CASE WHEN referring_id IS NOT NULL OR emptied LIKE '%,referring_id,%' THEN nth END
        ) AS referring_id,
        arg_max(
            coalesce(admitting_id, ''),
            CASE WHEN admitting_id IS NOT NULL OR emptied LIKE '%,admitting_id,%' THEN nth END
        ) AS admitting_id,
        arg_max(
            coalesce(admit_source, ''),
            CASE WHEN admit_source IS NOT NULL OR emptied LIKE '%,admit_source,%' THEN nth END
        ) AS admit_source,
        arg_max(
            coalesce(admit_reason_code, ''),
            CASE WHEN admit_reason_code IS NOT NULL OR emptied LIKE '%,admit_reason_code,%' THEN nth END
        ) AS admit_reason_code,
        arg_max(
            coalesce(admit_reason_system, ''),
            CASE WHEN admit_reason_system IS NOT NULL OR emptied LIKE '%,admit_reason_system,%' THEN nth END
        ) AS admit_reason_system,
        arg_max(
            coalesce(readmission, ''),
            CASE WHEN readmission IS NOT NULL OR emptied LIKE '%,readmission,%' THEN nth END
        ) AS readmission,
        arg_max(
            coalesce(financial_class, ''),
            CASE WHEN financial_class IS NOT NULL OR emptied LIKE '%,financial_class,%' THEN nth END
        ) AS financial_class,
        arg_max(
            coalesce(unit, ''),
            CASE WHEN (unit IS NOT NULL OR emptied LIKE '%,unit,%') AND NOT coalesce(is_undone, FALSE) THEN nth END
        ) AS unit,
        arg_min(unit, CASE WHEN unit IS NOT NULL THEN nth END) AS first_unit,
        arg_max(
            coalesce(discharge_disposition, ''),
            CASE
                WHEN nth > reopened AND (discharge_disposition IS NOT NULL OR emptied LIKE '%,discharge_disposition,%')
                    THEN nth
            END
        ) AS discharge_disposition,
        arg_max(admitted_at + shift, CASE WHEN admitted_at IS NOT NULL THEN nth END) AS admitted_at,
        max(CASE WHEN admitted_at IS NOT NULL THEN nth END) AS admitted_given,
        max(CASE WHEN emptied LIKE '%,admitted_at,%' THEN nth END) AS admitted_emptied,
        min(
            CASE
                WHEN nth > cancelled AND said IN ('in-progress', 'arrived') AND coalesce(event, 'A01') <> 'A13'
                    THEN stated_at + shift
            END
        ) AS admission_stated_at,
        arg_max(discharged_at + shift, CASE WHEN nth > reopened AND discharged_at IS NOT NULL THEN nth END)
            AS discharged_at,
        max(CASE WHEN nth > reopened AND discharged_at IS NOT NULL THEN nth END) AS discharged_given,
        max(CASE WHEN emptied LIKE '%,discharged_at,%' THEN nth END) AS discharged_emptied,
        max(CASE WHEN nth > reopened AND said = 'finished' THEN stated_at + shift END) AS discharge_stated_at,
        arg_max(expected_at + shift, CASE WHEN expected_at IS NOT NULL THEN nth END) AS expected_at,
        arg_max(
            said,
            CASE
                WHEN nth > cancelled AND said IN ('in-progress', 'arrived', 'on-leave', 'finished') THEN nth
            END
        ) AS standing,
        max(CASE WHEN said = 'cancelled' THEN nth END) AS cancelled_nth,
        max(CASE WHEN said = 'planned' THEN nth END) AS planned_nth,
        count(DISTINCT CASE WHEN event = 'A02' AND NOT is_undone THEN stated_at END) AS n_transfers,
        max(CASE WHEN class_name = 'emergency' OR admit_source = '7' THEN 1 ELSE 0 END) AS via_emergency,
        arg_min(age_years, CASE WHEN age_years IS NOT NULL THEN nth END) AS age_years,
        min(stated_at + shift) AS first_stated_at,
        max(stated_at + shift) AS last_stated_at
    FROM classified_statements
    GROUP BY owner_id, encounter_id
),

timed AS (
    SELECT
        *,
        coalesce(
            CASE WHEN coalesce(admitted_emptied, 0) < admitted_given THEN admitted_at END, admission_stated_at
        ) AS began_at,
        coalesce(
            CASE WHEN coalesce(discharged_emptied, 0) < discharged_given THEN discharged_at END, discharge_stated_at
        ) AS ended_at
    FROM folded
)

SELECT
    encounter_id,
    patient_id,
    nullif(account_id, '') AS account_id,
    nullif(class, '') AS class,
    CASE
        WHEN standing = 'arrived' THEN 'in-progress'
        WHEN standing IS NOT NULL THEN standing
        WHEN cancelled_nth > coalesce(planned_nth, 0) THEN 'cancelled'
        WHEN planned_nth IS NOT NULL THEN 'planned'
        WHEN ended_at IS NOT NULL THEN 'finished'
        WHEN began_at IS NOT NULL THEN 'in-progress'
    END AS status,
    began_at AS admitted_at,
    ended_at AS discharged_at,
    date_diff('minute', began_at, ended_at) / 1440.0 AS length_of_stay_days,
    nullif(unit, '') AS unit,
    first_unit,
    nullif(facility, '') AS facility,
    nullif(service, '') AS service,
    nullif(admission_type, '') AS admission_type,
    nullif(admit_source, '') AS admit_source,
    nullif(admit_reason_code, '') AS admit_reason_code,
    nullif(admit_reason_system, '') AS admit_reason_system,
    nullif(readmission, '') AS readmission,
    nullif(discharge_disposition, '') AS discharge_disposition,
    nullif(financial_class, '') AS financial_class,
    nullif(attending_id, '') AS attending_id,
    nullif(referring_id, '') AS referring_id,
    nullif(admitting_id, '') AS admitting_id,
    n_transfers,
    via_emergency = 1 AS via_emergency,
    expected_at,
    age_years,
    first_stated_at,
    last_stated_at
FROM timed

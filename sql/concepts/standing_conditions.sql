-- title: Standing diagnoses and problems
-- description: Every diagnosis or problem that stands today, once a visit and kind and once for each condition that its
--   code belongs to: the latest statement of each, without those that were deleted or entered in error; merged patients
--   are one. A diagnosis without a visit stands once a day on which it was recorded; a problem (kind problem) is one,
--   however often it is stated.
-- grain: patient_id, encounter_id, code_system, code, kind, recorded_at, condition
-- source: HL7 v2.9 ch. 6.5.2 (DG1), table 0206 (action); codes.conditions
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column code: in capitals, without dot
-- column condition: name such as diabetes_type_2; null when the code belongs to none
-- column nth: 1 is the closest condition, as in condition_codes
-- column rank: 1 is the principal diagnosis
-- column recorded_at: when it was first made or recorded
-- column age_years: age at that time; 90 stands for 90 and over
WITH placed AS (
    SELECT
        c.record_id,
        c.ordinal,
        coalesce(i.patient_id, m.patient_id, c.patient_id) AS patient_id,
        c.encounter_id,
        upper(replace(c.code, '.', '')) AS code,
        c.code_system,
        c.code_display,
        c.kind,
        c.rank,
        c.present_on_admission,
        c.status,
        c.action = 'D' OR lower(c.status) IN ('entered-in-error', 'deleted') AS is_gone,
        c.age_years,
        (coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0)) * INTERVAL '1' DAY AS shift,
        c.onset_at,
        c.recorded_at,
        c.stated_at
    FROM conditions AS c
    LEFT JOIN encounter_moves AS m ON c.encounter_id = m.encounter_id AND c.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, c.patient_id) = i.old_patient_id
    WHERE c.code IS NOT NULL
),

-- Without a visit nothing but the day tells two occasions apart; a deletion takes those of every day.
occasions AS (
    SELECT
        p.*,
        n.condition,
        coalesce(n.nth, 1) AS nth,
        CASE
            WHEN p.encounter_id IS NULL AND coalesce(p.kind, '') <> 'problem' AND NOT coalesce(p.is_gone, FALSE)
                THEN date_trunc('day', p.recorded_at + p.shift)
        END AS occasion
    FROM placed AS p
    LEFT JOIN condition_codes AS n ON p.code = n.code AND p.code_system = n.code_system
),

-- A deletion that names no kind takes every kind of the code with it. Deletions are few: a window over all diagnoses
-- would sort them all to find none. From the table and not from `placed`, which DuckDB would then keep as a whole.
deletions AS (
    SELECT
        coalesce(i.patient_id, m.patient_id, c.patient_id) AS patient_id,
        c.encounter_id,
        c.code_system,
        upper(replace(c.code, '.', '')) AS code,
        c.kind,
        max(
            coalesce(c.stated_at, c.recorded_at)
            + (coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0)) * INTERVAL '1' DAY
        ) AS gone_at
    FROM conditions AS c
    LEFT JOIN encounter_moves AS m ON c.encounter_id = m.encounter_id AND c.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, c.patient_id) = i.old_patient_id
    WHERE c.code IS NOT NULL AND (c.action = 'D' OR lower(c.status) IN ('entered-in-error', 'deleted'))
    GROUP BY
        coalesce(i.patient_id, m.patient_id, c.patient_id),
        c.encounter_id,
        c.code_system,
        upper(replace(c.code, '.', '')),
        c.kind
),

-- One is older at what is recorded later, so that the least age is the one at the first record. The condition follows
-- from the code; it is named here so that a query for some conditions leaves the others before they are sorted.
latest AS (
    SELECT
        *,
        min(recorded_at + shift) OVER statements AS first_recorded_at,
        min(age_years) OVER statements AS first_age_years
    FROM occasions
    WINDOW statements AS (PARTITION BY patient_id, encounter_id, code_system, code, kind, occasion, condition)
    QUALIFY row_number() OVER (
        PARTITION BY patient_id, encounter_id, code_system, code, kind, occasion, condition
        ORDER BY
            coalesce(stated_at, recorded_at) + shift DESC NULLS LAST,
            record_id DESC NULLS LAST,
            ordinal DESC NULLS LAST
    ) = 1
)

SELECT
    l.record_id,
    l.ordinal,
    l.patient_id,
    l.encounter_id,
    l.code,
    l.code_system,
    l.code_display,
    l.condition,
    l.nth,
    l.first_recorded_at AS recorded_at,
    l.onset_at + l.shift AS onset_at,
    l.rank,
    l.present_on_admission,
    l.kind,
    l.status,
    l.first_age_years AS age_years
FROM latest AS l
LEFT JOIN deletions AS d
    ON
        d.kind IS NULL
        AND l.patient_id IS NOT DISTINCT FROM d.patient_id
        AND l.encounter_id IS NOT DISTINCT FROM d.encounter_id
        AND l.code_system IS NOT DISTINCT FROM d.code_system
        AND l.code = d.code
LEFT JOIN deletions AS k
    ON
        l.patient_id IS NOT DISTINCT FROM k.patient_id
        AND l.encounter_id IS NOT DISTINCT FROM k.encounter_id
        AND l.code_system IS NOT DISTINCT FROM k.code_system
        AND l.code = k.code
        AND l.kind IS NOT DISTINCT FROM k.kind
-- One condition for both kinds of deletion, or DuckDB takes the first to leave a fifth of the diagnoses, and makes the
-- hash table of the second join from them.
WHERE
    NOT coalesce(l.is_gone, FALSE)
    AND CASE
        WHEN d.gone_at IS NOT NULL AND coalesce(coalesce(l.stated_at, l.recorded_at) + l.shift <= d.gone_at, TRUE)
            THEN FALSE
        WHEN
            l.occasion IS NOT NULL
            AND k.gone_at IS NOT NULL
            AND coalesce(coalesce(l.stated_at, l.recorded_at) + l.shift <= k.gone_at, TRUE)
            THEN FALSE
        ELSE TRUE
    END

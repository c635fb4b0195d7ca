-- title: Result statements
-- description: Every statement of a result or vital sign, corrections and repetitions included, under the patient it
--   belongs to today and on that patient's time line.
-- grain: record_id, ordinal
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column result_of: what names the result beside its code: order_key, else the patient as recorded
-- column recorded_patient_id: patient as recorded, before merges
-- column recorded_observed_at: when it was observed, as recorded
-- column code: code of the result as sent
-- column category: section that made it (OBR-24)
-- column unit: unit as sent
-- column status: as sent; corrected or cancelled also where only the order says so (OBR-25 C, X)
-- column observed_at: when it was observed
-- column reported_at: when it was reported
-- column stated_at: when the record that states it was made
-- column age_years: age in years at that time; 90 stands for 90 and over
-- column analyte: name such as creatinine or heart_rate, from the code or else from the second code; null when neither
--   is known
-- column analyte_kind: laboratory or vital; null when the code is not known
-- column analyte_unit: the analyte's own unit; null when the code is not known
-- column plausible_low: least value, in the analyte's own unit, that a living patient can have
-- column plausible_high: highest such value

-- Not cut into concept views: nothing else reads one of its steps.
-- A name comes first, so that a query for some analytes leaves all other rows before anything is asked of them. Two
-- joins one upon the other would keep every row until both have been asked; apart, the one for the second code, which
-- is seldom needed, looks at few.
-- Neither part is named twice: DuckDB would keep a query that is (a CTE) apart and read every column beneath it.
-- list_contains instead of IN: DuckDB asks it once for each value of a dictionary, and makes a join of IN.
WITH named AS (
    SELECT
        o.*,
        a.analyte,
        a.kind AS analyte_kind,
        a.unit AS analyte_unit,
        a.plausible_low,
        a.plausible_high
    FROM observations AS o
    LEFT JOIN analyte_names AS a
        ON
            upper(o.code) = a.code
            AND CASE
                WHEN list_contains(['loinc', 'snomed', 'icd10cm', 'cpt', 'mdc', 'dcm'], o.code_system)
                    THEN o.code_system
                ELSE 'open'
            END = a.code_space
    WHERE a.analyte IS NOT NULL OR o.alt_code IS NULL
    UNION ALL
    SELECT
        o.*,
        b.analyte,
        b.kind AS analyte_kind,
        b.unit AS analyte_unit,
        b.plausible_low,
        b.plausible_high
    FROM observations AS o
    LEFT JOIN analyte_names AS a
        ON
            upper(o.code) = a.code
            AND CASE
                WHEN list_contains(['loinc', 'snomed', 'icd10cm', 'cpt', 'mdc', 'dcm'], o.code_system)
                    THEN o.code_system
                ELSE 'open'
            END = a.code_space
    LEFT JOIN analyte_names AS b
        ON
            upper(o.alt_code) = b.code
            AND CASE
                WHEN list_contains(['loinc', 'snomed', 'icd10cm', 'cpt', 'mdc', 'dcm'], o.alt_code_system)
                    THEN o.alt_code_system
                ELSE 'open'
            END = b.code_space
    WHERE o.alt_code IS NOT NULL AND a.analyte IS NULL
),

placed AS (
    SELECT
        o.*,
        coalesce(i.patient_id, m.patient_id, o.patient_id) AS owner_id,
        coalesce(m.offset_days, 0) + coalesce(i.offset_days, 0) AS offset_days,
        CASE
            WHEN x.order_key IS NOT NULL AND coalesce(o.stated_at <= x.stated_at, TRUE) THEN 'cancelled'
            WHEN c.order_key IS NOT NULL AND coalesce(o.status, 'final') = 'final' THEN 'corrected'
            ELSE o.status
        END AS order_status
    FROM named AS o
    LEFT JOIN encounter_moves AS m ON o.encounter_id = m.encounter_id AND o.patient_id = m.old_patient_id
    LEFT JOIN identity_changes AS i ON coalesce(m.patient_id, o.patient_id) = i.old_patient_id
    LEFT JOIN order_outcomes AS c
        ON
            coalesce(o.order_id, o.placer_order_id) = c.order_key
            AND o.record_id = c.record_id
            AND c.outcome = 'corrected'
    LEFT JOIN order_outcomes AS x
        ON coalesce(o.order_id, o.placer_order_id) = x.order_key AND x.outcome = 'cancelled'
)

SELECT
    record_id,
    ordinal,
    owner_id AS patient_id,
    encounter_id,
    order_id,
    placer_order_id,
    coalesce(order_id, placer_order_id) AS order_key,
    coalesce(order_id, placer_order_id, patient_id) AS result_of,
    patient_id AS recorded_patient_id,
    observed_at AS recorded_observed_at,
    specimen_id,
    panel_code,
    panel_system,
    code,
    code_system,
    code_display,
    alt_code,
    alt_code_system,
    sub_id,
    category,
    value_type,
    value_number,
    comparator,
    value_high,
    value_separator,
    value_code,
    value_code_system,
    value_code_display,
    unit,
    range_low,
    range_high,
    flag,
    order_status AS status,
    CASE
        WHEN offset_days = 0 THEN observed_at
        ELSE observed_at + offset_days * INTERVAL '1' DAY
    END AS observed_at,
    CASE
        WHEN offset_days = 0 THEN reported_at
        ELSE reported_at + offset_days * INTERVAL '1' DAY
    END AS reported_at,
    CASE
        WHEN offset_days = 0 THEN stated_at
        ELSE stated_at + offset_days * INTERVAL '1' DAY
    END AS stated_at,
    performer_id,
    performer_facility,
    method_code,
    age_years,
    analyte,
    analyte_kind,
    analyte_unit,
    plausible_low,
    plausible_high
FROM placed

-- title: Standing results
-- description: The statements of results and vital signs that count today: the latest of each, unless it was deleted,
--   wrong or cancelled, or says no more than that a result is awaited.
-- grain: record_id, ordinal
-- source: HL7 v2.9 ch. 7.4.2 and table 0085 (OBX-11), table 0123 (OBR-25).
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column code: code of the result as sent
-- column code_key: the code as analyte_names lists it
-- column code_space: the system as analyte_names lists it: open where codes of several systems share a list
-- column alt_code_key: the same of the second code
-- column alt_code_space: the same of the second code's system
-- column category: section that made it (OBR-24)
-- column unit: unit as sent
-- column status: final, corrected, preliminary, ...; corrected also where only the order says so (OBR-25 C)
-- column observed_at: when it was observed
-- column reported_at: when it was reported
-- column stated_at: when the record that states it was made
-- column age_years: age in years at that time; 90 stands for 90 and over

-- Below the names of analytes, where it is plain to any engine that what is superseded is the smaller side of the join.
SELECT
    s.record_id,
    s.ordinal,
    s.patient_id,
    s.encounter_id,
    s.order_id,
    s.placer_order_id,
    s.specimen_id,
    s.panel_code,
    s.panel_system,
    s.code,
    s.code_system,
    s.code_display,
    s.code_key,
    s.code_space,
    s.alt_code,
    s.alt_code_system,
    s.alt_code_key,
    s.alt_code_space,
    s.sub_id,
    s.category,
    s.value_type,
    s.value_number,
    s.comparator,
    s.value_high,
    s.value_separator,
    s.value_code,
    s.value_code_system,
    s.value_code_display,
    s.unit,
    s.range_low,
    s.range_high,
    s.flag,
    s.status,
    s.observed_at,
    s.reported_at,
    s.stated_at,
    s.performer_id,
    s.performer_facility,
    s.method_code,
    s.age_years
FROM result_statements AS s
LEFT JOIN superseded_results AS x
    ON
        s.record_id IS NOT DISTINCT FROM x.record_id
        AND s.ordinal IS NOT DISTINCT FROM x.ordinal
        AND s.code IS NOT DISTINCT FROM x.code
        AND s.stated_at IS NOT DISTINCT FROM x.stated_at
WHERE
    x.is_superseded IS NULL
    AND coalesce(s.status, 'final') NOT IN ('pending', 'ordered', 'not-asked', 'deleted', 'wrong', 'cancelled')

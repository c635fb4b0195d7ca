-- title: Standing results
-- description: The statements of results and vital signs that count today: the latest of each, unless it was deleted,
--   wrong or cancelled, or says no more than that a result is awaited.
-- grain: record_id, ordinal
-- source: HL7 v2.9 ch. 7.4.2 and table 0085 (OBX-11), table 0123 (OBR-25).
-- column patient_id: pseudonym of the patient
-- column encounter_id: pseudonym of the visit; null where none is known
-- column code: code of the result as sent
-- column category: section that made it (OBR-24)
-- column unit: unit as sent
-- column status: final, corrected, preliminary, ...; corrected also where only the order says so (OBR-25 C)
-- column observed_at: when it was observed
-- column reported_at: when it was reported
-- column stated_at: when the record that states it was made
-- column age_years: age in years at that time; 90 stands for 90 and over

-- Below the names of analytes, where it is plain to any engine that what is superseded is the smaller side of the join.
SELECT s.*
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

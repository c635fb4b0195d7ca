-- title: Smoking status
-- description: Each statement that a patient smokes, used to smoke or never did: coded answers to a question on
--   smoking, and diagnoses of nicotine dependence (in remission: former) or of a history of it.
-- grain: patient_id, stated_at, smoking_status
-- source: codes.smoking_status; codes.conditions (tobacco_use, tobacco_use_history)
-- column stated_at: when it was stated
-- column smoking_status: current, former or never
WITH answers AS (
    SELECT
        results.patient_id,
        results.observed_at AS stated_at,
        answers.status AS smoking_status
    FROM results_current AS results
    INNER JOIN codes.smoking_status AS questions
        ON
            results.code = questions.code
            AND results.code_system = questions.system
            AND questions.origin = 'question'
    -- The identifiers of SNOMED CT and of LOINC answers cannot be taken for one another.
    INNER JOIN codes.smoking_status AS answers
        ON results.value_code = answers.code AND answers.origin = 'answer'
),

diagnoses AS (
    SELECT
        conditions.patient_id,
        coalesce(conditions.recorded_at, conditions.onset_at) AS stated_at,
        codes_of.status AS smoking_status
    FROM patient_condition_groups AS conditions
    INNER JOIN codes.smoking_status AS codes_of
        ON
            conditions.code = codes_of.code
            AND conditions.code_system = codes_of.system
            AND codes_of.origin = 'diagnosis'
    -- By the condition, since only that leaves the other diagnoses before they are sorted.
    WHERE conditions.condition IN ('tobacco_use', 'tobacco_use_history')
)

SELECT DISTINCT
    patient_id,
    stated_at,
    smoking_status
FROM (
    SELECT
        patient_id,
        stated_at,
        smoking_status
    FROM answers
    UNION ALL
    SELECT
        patient_id,
        stated_at,
        smoking_status
    FROM diagnoses
) AS statements
WHERE stated_at IS NOT NULL

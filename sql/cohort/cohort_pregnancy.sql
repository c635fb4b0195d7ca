-- title: Cohort: pregnancy
-- description: Pregnancies of a patient, from diagnoses of pregnancy, childbirth and the puerperium, on a time line.
--   Patients stated to be male are left out, and so are late sequelae (O94, 677).
-- grain: patient_id, pregnancy
-- source: ICD-10-CM chapter 15, Z3A and Z37; ICD-9-CM 630 to 679 and V27; WHO: the puerperium is 42 days
-- column pregnancy: 1 is the first on record
-- column index_at: time of the first diagnosis
-- column last_diagnosis_at: time of the latest
-- column n_diagnosis_days: days with a diagnosis
-- column weeks: most weeks of gestation that a code names
-- column estimated_start_at: beginning by these weeks
-- column delivered: whether a delivery or its outcome is coded
-- column delivered_at: time of the first such code
-- column ended_early: whether an abortive outcome is coded
-- column gestational_diabetes: whether gestational diabetes is coded
-- column age_years: least age stated with a diagnosis; 90 stands for 90 and over

-- Not cut into concept views: nothing else reads one of its steps.
-- Weeks of gestation (Z3A) tell the beginning: records of one pregnancy stay together however far apart they are, and
-- one that began after the last outcome, or four weeks after any earlier record, is another. Without weeks another
-- begins 42 days after a delivery or an abortive outcome (with a delivery after 140 days) and after 180 days without
-- any record. Codes of the puerperium begin none after an outcome.
WITH diagnoses AS (
    SELECT
        named.patient_id,
        named.recorded_at,
        named.condition,
        named.age_years,
        named.code_system IN ('icd10cm', 'icd10') AS is_10,
        named.code_system = 'icd9cm' AS is_9,
        named.code,
        substr(named.code, 1, 3) AS category
    FROM patient_condition_groups AS named
    LEFT JOIN patients_current AS patients ON named.patient_id = patients.patient_id
    WHERE
        named.condition IN ('pregnancy', 'gestational_diabetes')
        AND named.recorded_at IS NOT NULL
        AND coalesce(patients.sex, 'unknown') <> 'male'
        AND substr(named.code, 1, 3) NOT IN ('O94', '677')
),

read AS (
    SELECT
        *,
        CASE
            WHEN is_10 AND code LIKE 'Z3A__' AND substr(code, 4, 2) BETWEEN '08' AND '42' THEN substr(code, 4, 2)::INT
        END AS weeks,
        CASE
            WHEN is_10 AND category IN ('O80', 'O81', 'O82', 'O83', 'O84', 'Z37') THEN 'delivery'
            WHEN is_9 AND category IN ('650', 'V27') THEN 'delivery'
            -- The fifth digit of the other codes: 1 and 2 are delivered.
            WHEN
                is_9 AND category BETWEEN '640' AND '676' AND length(code) = 5 AND substr(code, 5, 1) IN ('1', '2')
                THEN 'delivery'
            WHEN is_10 AND category BETWEEN 'O00' AND 'O08' THEN 'abortive'
            WHEN is_9 AND category BETWEEN '630' AND '639' THEN 'abortive'
            WHEN is_10 AND (category BETWEEN 'O85' AND 'O92' OR category = 'Z39') THEN 'puerperium'
            WHEN is_9 AND (category BETWEEN '670' AND '676' OR category = 'V24') THEN 'puerperium'
            ELSE 'ongoing'
        END AS stage
    FROM diagnoses
),

-- What is recorded at one time speaks together: its outcome, else an ongoing pregnancy, else the puerperium.
moments AS (
    SELECT
        patient_id,
        recorded_at,
        max(weeks) AS weeks,
        recorded_at - max(weeks) * INTERVAL '7' DAY AS start_at,
        max(CASE WHEN stage = 'delivery' THEN 1 ELSE 0 END) AS delivered,
        max(CASE WHEN stage = 'abortive' THEN 1 ELSE 0 END) AS ended_early,
        max(CASE WHEN stage = 'ongoing' THEN 1 ELSE 0 END) AS ongoing,
        max(CASE WHEN condition = 'gestational_diabetes' THEN 1 ELSE 0 END) AS gestational_diabetes,
        min(age_years) AS age_years
    FROM read
    GROUP BY patient_id, recorded_at
),

ends AS (
    SELECT
        *,
        lag(recorded_at) OVER (PARTITION BY patient_id ORDER BY recorded_at) AS previous_at,
        max(CASE WHEN delivered + ended_early > 0 THEN recorded_at END) OVER before AS ended_at,
        last_value(start_at IGNORE NULLS) OVER before AS known_start_at
    FROM moments
    WINDOW before AS (
        PARTITION BY patient_id ORDER BY recorded_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),

-- After an outcome, the next pregnancy is on record from the first moment that is past the puerperium.
renewals AS (
    SELECT
        *,
        max(
            CASE
                WHEN ongoing = 1 AND delivered + ended_early = 0 AND recorded_at > ended_at + INTERVAL '42' DAY
                    THEN recorded_at
            END
        ) OVER (
            PARTITION BY patient_id ORDER BY recorded_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS renewed_at
    FROM ends
),

starts AS (
    SELECT
        *,
        CASE
            WHEN previous_at IS NULL THEN 1
            WHEN start_at > previous_at + INTERVAL '28' DAY THEN 1
            WHEN start_at > ended_at AND coalesce(renewed_at <= ended_at, TRUE) THEN 1
            WHEN start_at IS NOT NULL THEN 0
            WHEN
                coalesce(renewed_at <= ended_at, TRUE)
                AND delivered + ended_early + ongoing > 0
                AND recorded_at > ended_at + INTERVAL '42' DAY
                AND (delivered = 0 OR recorded_at > ended_at + INTERVAL '140' DAY)
                THEN 1
            -- A known beginning holds records together: 44 weeks and the puerperium.
            WHEN
                recorded_at > previous_at + INTERVAL '180' DAY
                AND coalesce(recorded_at > known_start_at + INTERVAL '350' DAY, TRUE)
                THEN 1
            ELSE 0
        END AS begins
    FROM renewals
),

numbered AS (
    SELECT
        *,
        sum(begins) OVER (PARTITION BY patient_id ORDER BY recorded_at ROWS UNBOUNDED PRECEDING) AS pregnancy
    FROM starts
)

SELECT
    patient_id,
    pregnancy::INT AS pregnancy,
    min(recorded_at) AS index_at,
    max(recorded_at) AS last_diagnosis_at,
    count(DISTINCT date_trunc('day', recorded_at)) AS n_diagnosis_days,
    max(weeks) AS weeks,
    min(start_at) AS estimated_start_at,
    max(delivered) = 1 AS delivered,
    min(CASE WHEN delivered = 1 THEN recorded_at END) AS delivered_at,
    max(ended_early) = 1 AS ended_early,
    max(gestational_diabetes) = 1 AS gestational_diabetes,
    min(age_years) AS age_years
FROM numbered
GROUP BY patient_id, pregnancy

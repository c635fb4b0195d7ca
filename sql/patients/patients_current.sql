-- title: Patients
-- description: One row per surviving identity: what the records say of the patient today. A field that a later record
--   leaves out keeps its value, one that it empties on purpose loses it. Merged identities are one patient, and what
--   the surviving identity's own records say goes first.
-- grain: patient_id
-- column patient_id: pseudonym of the patient
-- column sex: female, male, other or unknown
-- column birth_year: on the patient's own time line; null from age 90 under safe_harbor
-- column age_years: age at the latest record that tells it; 90 stands for 90 and over
-- column n_identities: identities that became this one, itself included
-- column first_stated_at: earliest record about the patient
-- column last_stated_at: latest record about the patient

-- An address is taken as a whole, from the last record that gives any part of one.
WITH placed AS (
    SELECT
        p.*,
        coalesce(i.patient_id, p.patient_id) AS owner_id,
        CASE
            WHEN i.offset_days IS NULL THEN p.stated_at
            ELSE p.stated_at + i.offset_days * INTERVAL '1' DAY
        END AS owner_stated_at,
        CASE
            WHEN i.offset_days IS NULL THEN p.deceased_at
            ELSE p.deceased_at + i.offset_days * INTERVAL '1' DAY
        END AS owner_deceased_at,
        CASE WHEN i.patient_id IS NULL THEN 1 ELSE 0 END AS is_own,
        concat(',', replace(coalesce(p.cleared, ''), ' ', ''), ',') AS emptied
    FROM patients AS p
    LEFT JOIN identity_changes AS i ON p.patient_id = i.old_patient_id
    WHERE p.patient_id IS NOT NULL
),

ordered AS (
    SELECT
        *,
        coalesce(city, state, postal_code, country) IS NOT NULL
        OR emptied LIKE '%,city,%'
        OR emptied LIKE '%,state,%'
        OR emptied LIKE '%,postal_code,%'
        OR emptied LIKE '%,country,%' AS tells_address,
        row_number() OVER (
            PARTITION BY owner_id
            ORDER BY is_own, owner_stated_at NULLS FIRST, record_id NULLS FIRST, ordinal NULLS FIRST
        ) AS nth
    FROM placed
),

-- The last statement that gave or emptied each field. Here an emptied text is '', and null in the end.
folded AS (
    SELECT
        owner_id AS patient_id,
        arg_max(
            coalesce(sex, ''),
            CASE WHEN sex IS NOT NULL OR emptied LIKE '%,sex,%' THEN nth END
        ) AS sex,
        arg_max(
            coalesce(race, ''),
            CASE WHEN race IS NOT NULL OR emptied LIKE '%,race,%' THEN nth END
        ) AS race,
        arg_max(
            coalesce(ethnicity, ''),
            CASE WHEN ethnicity IS NOT NULL OR emptied LIKE '%,ethnicity,%' THEN nth END
        ) AS ethnicity,
        arg_max(
            coalesce(language, ''),
            CASE WHEN language IS NOT NULL OR emptied LIKE '%,language,%' THEN nth END
        ) AS language,
        arg_max(
            coalesce(marital_status, ''),
            CASE WHEN marital_status IS NOT NULL OR emptied LIKE '%,marital_status,%' THEN nth END
        ) AS marital_status,
        arg_max(coalesce(city, ''), CASE WHEN tells_address THEN nth END) AS city,
        arg_max(coalesce(state, ''), CASE WHEN tells_address THEN nth END) AS state,
        arg_max(coalesce(postal_code, ''), CASE WHEN tells_address THEN nth END) AS postal_code,
        arg_max(coalesce(country, ''), CASE WHEN tells_address THEN nth END) AS country,
        arg_max(
            coalesce(primary_provider_id, ''),
            CASE WHEN primary_provider_id IS NOT NULL OR emptied LIKE '%,primary_provider_id,%' THEN nth END
        ) AS primary_provider_id,
        arg_max(
            coalesce(facility, ''),
            CASE WHEN facility IS NOT NULL OR emptied LIKE '%,facility,%' THEN nth END
        ) AS facility,
        arg_max(birth_date, CASE WHEN birth_date IS NOT NULL THEN nth END) AS birth_date,
        max(CASE WHEN birth_date IS NOT NULL THEN nth END) AS birth_date_given,
        max(CASE WHEN emptied LIKE '%,birth_date,%' THEN nth END) AS birth_date_emptied,
        arg_max(birth_year, CASE WHEN birth_year IS NOT NULL THEN nth END) AS birth_year,
        max(CASE WHEN birth_year IS NOT NULL THEN nth END) AS birth_year_given,
        max(CASE WHEN emptied LIKE '%,birth_year,%' THEN nth END) AS birth_year_emptied,
        arg_max(deceased, CASE WHEN deceased IS NOT NULL THEN nth END) AS deceased,
        max(CASE WHEN deceased IS NOT NULL THEN nth END) AS deceased_given,
        max(CASE WHEN emptied LIKE '%,deceased,%' THEN nth END) AS deceased_emptied,
        arg_max(owner_deceased_at, CASE WHEN owner_deceased_at IS NOT NULL THEN nth END) AS deceased_at,
        max(CASE WHEN owner_deceased_at IS NOT NULL THEN nth END) AS deceased_at_given,
        max(CASE WHEN emptied LIKE '%,deceased_at,%' THEN nth END) AS deceased_at_emptied,
        arg_max(age_years, CASE WHEN age_years IS NOT NULL THEN nth END) AS age_years,
        max(age_years) AS oldest,
        count(DISTINCT patient_id) AS n_identities,
        min(owner_stated_at) AS first_stated_at,
        max(owner_stated_at) AS last_stated_at
    FROM ordered
    GROUP BY owner_id
),

settled AS (
    SELECT
        *,
        CASE WHEN coalesce(deceased_at_emptied, 0) < deceased_at_given THEN deceased_at END AS died_at,
        CASE WHEN coalesce(deceased_emptied, 0) < deceased_given THEN deceased END AS is_dead
    FROM folded
)

SELECT
    patient_id,
    CASE
        WHEN sex IN ('female', 'male', 'other') THEN sex
        WHEN sex = 'ambiguous' THEN 'other'
        ELSE 'unknown'
    END AS sex,
    CASE WHEN coalesce(birth_date_emptied, 0) < birth_date_given THEN birth_date END AS birth_date,
    CASE
        -- a year stated before the 90th birthday would tell an age above it: 45 CFR 164.514(b)(2)(i)(C);
        -- where the date of birth itself is kept, so is the year
        WHEN oldest >= 90 AND birth_date IS NULL THEN NULL
        WHEN coalesce(birth_year_emptied, 0) < birth_year_given THEN birth_year
    END AS birth_year,
    age_years,
    nullif(race, '') AS race,
    nullif(ethnicity, '') AS ethnicity,
    nullif(language, '') AS language,
    nullif(marital_status, '') AS marital_status,
    nullif(city, '') AS city,
    nullif(state, '') AS state,
    nullif(postal_code, '') AS postal_code,
    nullif(country, '') AS country,
    coalesce(is_dead, died_at IS NOT NULL) AS deceased,
    died_at AS deceased_at,
    nullif(primary_provider_id, '') AS primary_provider_id,
    nullif(facility, '') AS facility,
    n_identities,
    first_stated_at,
    last_stated_at
FROM settled

-- title: LACE
-- description: LACE index of each inpatient visit that has ended: length of stay, acuity, comorbidity, emergency
--   visits. Comorbidity is the sum over the Charlson groups with the weights that LACE was published with (after
--   Schneeweiss 2003, not those of 1987), of the visit's own diagnoses and those of the 365 days before its end; the
--   codes of renal disease do not tell a mild from a moderate one, and count as moderate or severe. The score sums the
--   points that are known; with n_missing above 0 score and band are lower bounds.
-- grain: patient_id, encounter_id
-- source: van Walraven, CMAJ 2010;182:551, comorbidity weights of its table 2
-- column encounter_id: pseudonym of the visit
-- column length_of_stay_days: whole days between admission and discharge
-- column acute: whether the admission was acute
-- column charlson: sum over the Charlson groups, weights of LACE
-- column emergency_visits: emergency visits in the 6 months before admission
-- column length_points: 0 below one day, 1, 2, 3 for as many days, 4 from 4, 5 from 7, 7 from 14
-- column acuity_points: 3 for an acute admission
-- column comorbidity_points: the index up to 3, 5 from 4
-- column emergency_points: the number of visits, 4 at most
-- column variant: definition and look-back
-- column n_missing: inputs without a value, of three: length of stay, acuity, comorbidity
-- column score: 0 to 19
-- column band: low up to 4, moderate up to 9, high from 10

-- Acute is an admission of type emergency, urgent or accident. Emergency visits are those that began in the 6 months
-- before the admission and ended before it.
WITH stays AS (
    SELECT
        patient_id,
        encounter_id,
        admitted_at,
        discharged_at,
        floor(length_of_stay_days) AS length_of_stay_days,
        CASE
            WHEN admission_type IN ('E', 'U', 'A') OR via_emergency THEN 3
            WHEN admission_type IS NOT NULL THEN 0
        END AS acuity_points
    FROM encounters_current
    WHERE class = 'inpatient' AND discharged_at IS NOT NULL AND coalesce(status, 'finished') <> 'cancelled'
),

emergencies AS (
    SELECT
        stays.patient_id,
        stays.encounter_id,
        count(*) AS emergency_visits
    FROM stays
    INNER JOIN encounters_current AS visits
        ON
            stays.patient_id = visits.patient_id
            AND stays.encounter_id <> visits.encounter_id
            AND stays.admitted_at <= visits.admitted_at + INTERVAL '6' MONTH
            -- The emergency visit that led to the admission ends with it and does not count.
            AND stays.admitted_at > coalesce(visits.discharged_at, visits.admitted_at)
    WHERE (visits.class = 'emergency' OR visits.via_emergency) AND coalesce(visits.status, 'finished') <> 'cancelled'
    GROUP BY stays.patient_id, stays.encounter_id
),

points AS (
    SELECT
        stays.patient_id,
        stays.encounter_id,
        stays.admitted_at,
        stays.discharged_at,
        stays.length_of_stay_days,
        stays.acuity_points,
        charlson.score_lace AS charlson,
        coalesce(emergencies.emergency_visits, 0) AS emergency_visits,
        CASE
            WHEN stays.length_of_stay_days >= 14 THEN 7
            WHEN stays.length_of_stay_days >= 7 THEN 5
            WHEN stays.length_of_stay_days >= 4 THEN 4
            WHEN stays.length_of_stay_days >= 3 THEN 3
            WHEN stays.length_of_stay_days >= 2 THEN 2
            WHEN stays.length_of_stay_days >= 1 THEN 1
            WHEN stays.length_of_stay_days IS NOT NULL THEN 0
        END AS length_points,
        CASE WHEN charlson.score_lace >= 4 THEN 5 ELSE charlson.score_lace END AS comorbidity_points,
        CASE WHEN emergencies.emergency_visits >= 4 THEN 4 ELSE coalesce(emergencies.emergency_visits, 0) END
            AS emergency_points
    FROM stays
    LEFT JOIN emergencies
        ON stays.patient_id = emergencies.patient_id AND stays.encounter_id = emergencies.encounter_id
    LEFT JOIN charlson_by_encounter AS charlson
        ON stays.patient_id = charlson.patient_id AND stays.encounter_id = charlson.encounter_id
),

scores AS (
    SELECT
        *,
        coalesce(length_points, 0) + coalesce(acuity_points, 0) + coalesce(comorbidity_points, 0)
        + emergency_points AS score
    FROM points
)

SELECT
    patient_id,
    encounter_id,
    admitted_at,
    discharged_at,
    charlson,
    emergency_visits,
    length_points,
    acuity_points,
    comorbidity_points,
    emergency_points,
    score,
    'van Walraven 2010, its Charlson weights; look-back 365 days, emergency visits 6 months' AS variant,
    length_of_stay_days::INT AS length_of_stay_days,
    acuity_points = 3 AS acute,
    (length_points IS NULL)::INT + (acuity_points IS NULL)::INT + (comorbidity_points IS NULL)::INT AS n_missing,
    CASE WHEN score >= 10 THEN 'high' WHEN score >= 5 THEN 'moderate' ELSE 'low' END AS band
FROM scores

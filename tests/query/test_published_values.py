"""Every published value of the clinical scores, through ``evaluate_view``.

Each number stands beside the publication or calculator that gives it. The rows enter at the
concept views, in the unit the score wants; units and codes have tests of their own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakehouse.query.views.evaluate import evaluate_view

AT = datetime(2130, 6, 1, 8, tzinfo=UTC)
Rows = dict[str, list[dict[str, Any]]]


def labs(age: int | None = None, **values: float) -> list[dict[str, Any]]:
    """Return one result per analyte, all of one patient at one time."""
    return [
        {
            "record_id": f"r-{analyte}",
            "ordinal": 0,
            "patient_id": "p1",
            "analyte": analyte,
            "value": value,
            "observed_at": AT,
            "age_years": age,
            "plausible": True,
        }
        for analyte, value in values.items()
    ]


def vitals(**values: Any) -> list[dict[str, Any]]:
    """Return one set of vital signs."""
    return [{"patient_id": "p1", "encounter_id": "e1", "measured_at": AT, **values}]


def patient(**values: Any) -> list[dict[str, Any]]:
    """Return one patient."""
    return [{"patient_id": "p1", **values}]


def only_row(view: str, tables: Rows) -> dict[str, Any]:
    """Return the one row that a view makes of the tables."""
    rows = evaluate_view(view, tables).to_pylist()
    assert len(rows) == 1
    row: dict[str, Any] = rows[0]
    return row


@pytest.mark.parametrize(
    ("sex", "age", "creatinine", "egfr", "stage"),
    [
        ("male", 81, 1.7, 39.99991, "G3b"),
        ("male", 50, 1.0, 91.69, "G1"),
        ("female", 50, 1.0, 68.63, "G2"),
        ("female", 40, 0.6, 116.30, "G1"),
        ("male", 30, 0.7, 127.12, "G1"),
    ],
)
def test_egfr_ckd_epi_2021(sex: str, age: int, creatinine: float, egfr: float, stage: str) -> None:
    # Inker, N Engl J Med 2021;385:1737
    row = only_row(
        "egfr",
        {"lab_results": labs(age, creatinine=creatinine), "patients_current": patient(sex=sex)},
    )
    digits = len(str(egfr).partition(".")[2])
    assert round(row["egfr"], max(digits, 2)) == egfr
    assert row["ckd_stage"] == stage
    assert row["n_missing"] == 0


def test_meld_before_rounding() -> None:
    # OPTN 2016: INR 2.0, bilirubin 54 umol/L, creatinine 170 umol/L
    row = only_row(
        "meld", {"lab_results": labs(inr=2.0, bilirubin_total=54 / 17.1, creatinine=170 / 88.4)}
    )
    assert round(row["meld_i"], 3) == 24.798
    assert row["meld"] == 25
    assert row["meld_na"] is None, "without sodium there is none"


@pytest.mark.parametrize(
    ("code", "value", "unit"),
    [("1975-2", 54.0, "umol/L"), ("2160-0", 170.0, "umol/L"), ("6301-6", 2.0, "1")],
)
def test_meld_from_raw_observations_in_si_units(code: str, value: float, unit: str) -> None:
    # The same, from results as a laboratory sends them; each in turn is the one that is late.
    sent = [("1975-2", 54.0, "umol/L"), ("2160-0", 170.0, "umol/L"), ("6301-6", 2.0, "1")]
    rows = [
        {
            "record_id": f"r{number}",
            "ordinal": 0,
            "patient_id": "p1",
            "code": each[0],
            "code_system": "loinc",
            "value_number": each[1],
            "unit": each[2],
            "status": "final",
            "observed_at": AT + timedelta(hours=1 if each == (code, value, unit) else 0),
            "stated_at": AT,
        }
        for number, each in enumerate(sent)
    ]
    found = evaluate_view("meld", {"observations": rows}).to_pylist()
    assert [row["measured_at"] for row in found] == [AT, AT + timedelta(hours=1)]
    assert found[0]["meld_i"] is None
    assert found[1]["meld_i"] == pytest.approx(24.798, abs=2e-3)
    assert found[1]["oldest_input_at"] == AT


def test_meld_3_before_rounding() -> None:
    # Kim, Gastroenterology 2021;161:1887
    row = only_row(
        "meld",
        {
            "lab_results": labs(
                bilirubin_total=2.5, inr=1.5, creatinine=1.2, albumin=3.0, sodium=135
            ),
            "patients_current": patient(sex="male"),
        },
    )
    assert round(row["meld_3"], 2) == 17.85
    assert row["meld_3_score"] == 18


@pytest.mark.parametrize(
    ("measured", "score"),
    [
        (
            {
                "respiratory_rate": 26,
                "spo2": 90,
                "temperature": 35.5,
                "systolic_bp": 85,
                "heart_rate": 125,
            },
            14,
        ),
        (
            {
                "respiratory_rate": 22,
                "spo2": 93,
                "temperature": 38.5,
                "systolic_bp": 95,
                "heart_rate": 110,
            },
            10,
        ),
    ],
)
def test_news2_on_oxygen_and_alert(measured: dict[str, float], score: int) -> None:
    # Royal College of Physicians 2017
    row = only_row(
        "news2", {"vital_signs": vitals(**measured, oxygen_supplement=True, consciousness="A")}
    )
    assert (row["score"], row["risk"], row["n_missing"]) == (score, "high", 0)


@pytest.mark.parametrize(
    ("days", "kind", "charlson", "visits", "score"), [(5, "E", 5, 2, 14), (2, "C", 0, 0, 2)]
)
def test_lace(days: int, kind: str, charlson: int, visits: int, score: int) -> None:
    # van Walraven, CMAJ 2010;182:551. Charlson 5 by its weights: infarction 1, heart failure 2
    # and a complicated diabetes 2; Charlson 0: a cold.
    codes = {5: ["I214", "I5022", "E1121"], 0: ["J00"]}[charlson]
    stay = {
        "patient_id": "p1",
        "encounter_id": "e1",
        "class": "inpatient",
        "status": "finished",
        "admission_type": kind,
        "admitted_at": AT,
        "discharged_at": AT + timedelta(days=days),
        "length_of_stay_days": float(days),
    }
    emergency = [
        {
            "patient_id": "p1",
            "encounter_id": f"emergency {n}",
            "class": "emergency",
            "status": "finished",
            "admitted_at": AT - timedelta(days=30 * (n + 1)),
            "discharged_at": AT - timedelta(days=30 * (n + 1) - 1),
        }
        for n in range(visits)
    ]
    diagnoses = [
        {
            "patient_id": "p1",
            "encounter_id": "e1",
            "code": c,
            "code_system": "icd10cm",
            "recorded_at": AT,
        }
        for c in codes
    ]
    row = only_row(
        "lace", {"encounters_current": [stay, *emergency], "patient_conditions": diagnoses}
    )
    assert row["charlson"] == charlson
    assert row["emergency_visits"] == visits
    assert (row["score"], row["n_missing"]) == (score, 0)


def test_fib4() -> None:
    # Sterling, Hepatology 2006;43:1317: 35 years, AST 107, ALT 104, platelets 181
    row = only_row("fib4", {"lab_results": labs(35, ast=107, alt=104, platelets=181)})
    assert round(row["fib4"], 5) == 2.02888


def test_cha2ds2_vasc() -> None:
    # Lip, Chest 2010;137:263: a man of 62 with a stroke
    row = only_row(
        "cha2ds2_vasc",
        {
            "patients_current": patient(sex="male", age_years=62),
            "standing_conditions": [
                {
                    "patient_id": "p1",
                    "code": "I639",
                    "code_system": "icd10cm",
                    "condition": "stroke",
                }
            ],
        },
    )
    assert (row["score"], row["n_missing"]) == (2, 0)


@pytest.mark.parametrize(
    ("sex", "race", "percent", "individual_sum"),
    [
        ("male", "2106-3", 5.3, 60.69),
        ("male", "2054-5", 6.1, 18.97),
        ("female", "2106-3", 2.1, -29.67),
        ("female", "2054-5", 3.0, 86.16),
    ],
)
def test_pooled_cohort_equations(
    sex: str, race: str, percent: float, individual_sum: float
) -> None:
    # Goff, Circulation 2014;129(25 Suppl 2):S49, table A: 55 years, total cholesterol 213,
    # HDL 50, systolic 120 untreated. The table rounds each product to two decimals before it sums
    # them, which moves the sum by 0.01 and the risk of the white man from 5.38 to 5.3 %.
    row = only_row(
        "ascvd_pce",
        {
            "patients_current": patient(sex=sex, race=race, age_years=55),
            "measured_values": labs(55, cholesterol_total=213, hdl=50, systolic_bp=120),
            "smoking_status": [{"patient_id": "p1", "stated_at": AT, "smoking_status": "never"}],
        },
    )
    assert row["individual_sum"] == pytest.approx(individual_sum, abs=0.0101)
    assert 100 * row["risk_10y"] == pytest.approx(percent, abs=0.09)
    assert row["n_missing"] == 0


def test_prevent_base() -> None:
    # Khan, Circulation 2024;149:430: a woman of 50
    row = only_row(
        "prevent",
        {
            "patients_current": patient(sex="female", age_years=50),
            "measured_values": labs(50, cholesterol_total=200, hdl=45, systolic_bp=160),
            "egfr": [
                {"record_id": "r", "ordinal": 0, "patient_id": "p1", "observed_at": AT, "egfr": 90}
            ],
            "bmi": [{"patient_id": "p1", "measured_at": AT, "bmi": 35}],
            "standing_conditions": [
                {
                    "patient_id": "p1",
                    "code": "E119",
                    "code_system": "icd10cm",
                    "condition": "diabetes_type_2",
                }
            ],
            "medication_list": [
                {
                    "patient_id": "p1",
                    "drug": "lisinopril",
                    "family": "antihypertensive",
                    "is_active": True,
                }
            ],
            "smoking_status": [{"patient_id": "p1", "stated_at": AT, "smoking_status": "never"}],
        },
    )
    found = [round(row[name], 3) for name in ("cvd_10y", "ascvd_10y", "heart_failure_10y")]
    assert found == [0.147, 0.092, 0.081]
    assert row["n_missing"] == 0

"""AHRQ Elixhauser Refined: the view against the published rules, written a second time in Python.

The oracle reads the same code lists and nothing else of the view: one discharge at a time, the
diagnoses in order, as the rules are told. Thousands of random discharges must agree row for row.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from lakehouse.query.codes import load_codes
from lakehouse.query.evaluate import evaluate_view

CODES = load_codes("ahrq_elixhauser_2025_codes").rows.to_pylist()
MEASURES = {
    m["comorbidity"]: m for m in load_codes("ahrq_elixhauser_2025_measures").rows.to_pylist()
}
EXEMPT = set(load_codes("poa_exempt_fy2025").rows.column("icd10cm").to_pylist())
BY_CODE: dict[str, set[str]] = {}
for pair in CODES:
    BY_CODE.setdefault(pair["icd10cm"], set()).add(pair["comorbidity"])
NEED = {name for name, m in MEASURES.items() if m["needs_present_on_admission"] == "yes"}
WITHOUT_GROUP = ["J189", "A419", "R0789", "S72001A", "S72001D", "Z7901"]

Discharge = list[tuple[str, str | None]]
"""Diagnoses in order, the principal one first, each with its present-on-admission indicator."""


def oracle(discharge: Discharge) -> dict[str, int | None]:
    """Return measures and indices of one discharge by the rules of the software's guide."""
    has_indicator = any(indicator for _, indicator in discharge)
    flag = dict.fromkeys(MEASURES, 0)
    stroke_on_admission = stroke_in_hospital = sequela = False
    for code, indicator in discharge[1:]:
        present = code in EXEMPT or indicator in {"Y", "W"}
        arisen = code not in EXEMPT and indicator in {"N", "U"}
        for comorbidity in BY_CODE.get(code, ()):
            if comorbidity == "cbvd_poa":
                stroke_on_admission |= present
                stroke_in_hospital |= arisen
            elif comorbidity == "cbvd_sqla":
                sequela |= present
            elif comorbidity not in NEED or present:
                flag[comorbidity] = 1
    if stroke_on_admission or (sequela and not stroke_in_hospital):
        flag["cbvd"] = 1
    if flag["diab_cx"]:
        flag["diab_uncx"] = 0
    if flag["htn_cx"]:
        flag["htn_uncx"] = 0
    if flag["cancer_mets"]:
        flag["cancer_solid"] = flag["cancer_nsitu"] = 0
    if flag["cancer_solid"]:
        flag["cancer_nsitu"] = 0
    if flag["liver_sev"]:
        flag["liver_mld"] = 0
    if flag["renlfl_sev"]:
        flag["renlfl_mod"] = 0
    result: dict[str, int | None] = {
        name: None if name in NEED and not has_indicator else value for name, value in flag.items()
    }
    counted = [name for name, value in result.items() if value]
    for index in ("readmission", "mortality"):
        result[f"{index}_index"] = sum(int(MEASURES[n][f"{index}_weight"]) for n in counted)
    result["n_missing"] = 0 if has_indicator else len(NEED)
    return result


def random_discharges(seed: int, count: int) -> dict[str, Discharge]:
    """Return discharges that meet every measure, every indicator and every rule often."""
    chance = random.Random(seed)
    by_measure: dict[str, list[str]] = {}
    for code, groups in BY_CODE.items():
        for group in groups:
            by_measure.setdefault(group, []).append(code)
    rare = [c for c in BY_CODE if c in EXEMPT]
    pools = [*by_measure.values(), rare, WITHOUT_GROUP]
    strokes = [by_measure["cbvd_poa"], by_measure["cbvd_sqla"]]
    found = {}
    for number in range(count):
        indicators = [None] if number % 10 == 0 else ["Y", "Y", "W", "N", "U", "1", None]
        kinds = strokes if number % 7 == 0 else pools
        found[f"e{number}"] = [
            (chance.choice(chance.choice(kinds)), chance.choice(indicators))
            for _ in range(chance.randint(1, 12))
        ]
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_thousands_of_discharges_agree_row_for_row(seed: int) -> None:
    discharges = random_discharges(seed, 3000)
    conditions = [
        {
            "patient_id": f"p-{encounter}",
            "encounter_id": encounter,
            "code": code,
            "code_system": "icd10cm",
            "rank": rank,
            "present_on_admission": indicator,
        }
        for encounter, discharge in discharges.items()
        for rank, (code, indicator) in enumerate(discharge, 1)
    ]
    random.Random(seed).shuffle(conditions)
    rows = evaluate_view("elixhauser_ahrq", {"patient_conditions": conditions}).to_pylist()
    assert len(rows) == len(discharges)
    seen: dict[str, set[Any]] = {}
    for row in rows:
        expected = oracle(discharges[row["encounter_id"]])
        assert {name: row[name] for name in expected} == expected, discharges[row["encounter_id"]]
        for name, value in expected.items():
            seen.setdefault(name, set()).add(value)
    assert all({0, 1} <= seen[name] for name in MEASURES), "every measure is met both ways"
    assert all(None in seen[name] for name in NEED), "discharges without indicators are among them"


def test_the_oracle_knows_thirty_eight_measures_of_which_eighteen_ask() -> None:
    assert len(MEASURES) == 38
    assert len(NEED) == 18

"""AHRQ Elixhauser Refined: the view against the published rules, written a second time in Python.

What this proves. The oracle is a second writing of the rules of AHRQ's mapping program (secondary
diagnoses only; twenty measures whatever the indicator, the others with Y, W or an exempt code;
cerebrovascular disease on admission, or a sequela when none arose in hospital; six exclusions),
one discharge at a time; thousands of random discharges agree with the view row for row. AHRQ's own
program is SAS and is not run here. Oracle and view share one input, the catalogue's copies of
AHRQ's code lists; what the catalogue says of the measures, which ask for the indicator and what
they weigh, is held against a table typed from AHRQ's published programs, and the number of codes
against that of the reference file.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from lakehouse.query.views.code_sets import load_codes
from lakehouse.query.views.evaluate import evaluate_view

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


WEIGHTS_2022 = {  # measure: readmission, mortality, as in AHRQ's index program v2022.1
    "aids": (5, -4), "alcohol": (3, -1), "anemdef": (5, -3), "autoimmune": (2, -1),
    "bldloss": (2, -4), "cancer_leuk": (10, 9), "cancer_lymph": (7, 6), "cancer_mets": (11, 23),
    "cancer_nsitu": (0, 0), "cancer_solid": (7, 10), "cbvd": (0, 5), "hf": (7, 15),
    "coag": (3, 15), "dementia": (1, 5), "depress": (2, -9), "diab_cx": (4, -2),
    "diab_uncx": (0, 0), "drug_abuse": (6, -7), "htn_cx": (0, 1), "htn_uncx": (0, 0),
    "liver_mld": (3, 2), "liver_sev": (10, 17), "lung_chronic": (4, 2), "neuro_movt": (1, -1),
    "neuro_oth": (2, 23), "neuro_seiz": (5, 2), "obese": (-2, -7), "paralysis": (3, 4),
    "perivasc": (1, 3), "psychoses": (6, -9), "pulmcirc": (3, 4), "renlfl_mod": (4, 3),
    "renlfl_sev": (8, 8), "thyroid_hypo": (0, -3), "thyroid_oth": (0, -8),
    "ulcer_peptic": (2, 0), "valve": (0, 0), "wghtloss": (6, 14),
}  # fmt: skip
MORTALITY_SINCE_2023 = {
    "autoimmune": 0, "cancer_lymph": 5, "cancer_mets": 22, "coag": 14, "depress": -8, "hf": 14,
    "liver_sev": 16, "neuro_oth": 22, "renlfl_sev": 7, "wghtloss": 13,
}  # fmt: skip
"""Ten weights that v2023.1 changed; v2025.1 still has them."""

ASK = {
    "anemdef", "bldloss", "cbvd", "coag", "hf", "liver_mld", "liver_sev", "neuro_movt",
    "neuro_oth", "neuro_seiz", "paralysis", "psychoses", "pulmcirc", "renlfl_mod", "renlfl_sev",
    "ulcer_peptic", "valve", "wghtloss",
}  # fmt: skip
"""Measures that count only with the diagnosis present on admission, by AHRQ's mapping program."""


def test_the_measures_are_those_of_the_published_programs() -> None:
    assert len(MEASURES) == 38
    assert NEED == ASK
    for name, measure in MEASURES.items():
        readmission, mortality = WEIGHTS_2022[name]
        assert measure["readmission_weight"] == readmission, name
        assert measure["mortality_weight"] == MORTALITY_SINCE_2023.get(name, mortality), name


def test_the_code_list_has_the_columns_of_the_reference_file() -> None:
    """A column for each measure, but for cerebrovascular disease, which has two."""
    columns = MEASURES.keys() - {"cbvd"} | {"cbvd_poa", "cbvd_sqla"}
    assert set().union(*BY_CODE.values()) == columns

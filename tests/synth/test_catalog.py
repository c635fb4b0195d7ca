"""The codes that the synthetic hospital uses: shaped as their systems shape them."""

from __future__ import annotations

import re

import pytest

from lakehouse.synth.catalog import (
    analytes,
    change,
    conditions,
    document,
    episodes,
    keyed,
    table,
    vitals,
)
from lakehouse.synth.writers.hl7v2.bedside import LEVELS

ODD = "3150-6"
"""Inhaled oxygen concentration, issued with a check digit that LOINC's own rule does not give."""

ICD10CM = re.compile(r"[A-Z]\d[0-9AB](\.[0-9A-Z]{1,4})?")


def loincs() -> set[str]:
    found = {a.loinc for a in (*analytes().values(), *vitals().values())}
    found |= {p["loinc"] for p in document("panels").values()}
    found |= {f["loinc"] for f in document("findings").values()}
    found |= {row["loinc"] for row in table("imaging")}
    return found


def snomeds() -> set[str]:
    found = {
        a[0] for f in document("findings").values() for a in f.get("answers", ()) if "SCT" in a
    }
    found |= {c["snomed"][0] for c in conditions().values() if "snomed" in c}
    found |= {row["reaction"] for row in table("allergens") if row["reaction"]}
    found |= {row["code"] for row in table("allergens") if row["system"] == "SCT"}
    return found


def luhn(digits: str) -> int:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return -total % 10


def verhoeff(number: str) -> bool:
    turn = [[(i + j) % 5 if i < 5 and j < 5 else 0 for j in range(10)] for i in range(10)]
    for i in range(10):
        for j in range(10):
            if i < 5:
                turn[i][j] = (i + j) % 5 if j < 5 else 5 + (i + j) % 5
            else:
                turn[i][j] = 5 + (i - j) % 5 if j < 5 else (i - j) % 5
    swap = [list(range(10))]
    step = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    for _ in range(7):
        swap.append([swap[-1][step[d]] for d in range(10)])
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = turn[check][swap[place % 8][int(digit)]]
    return check == 0


@pytest.mark.parametrize("code", sorted(loincs() - {ODD}))
def test_loinc_check_digit(code):
    number, digit = code.split("-")
    assert luhn(number) == int(digit)


@pytest.mark.parametrize("code", sorted(snomeds()))
def test_snomed_check_digit(code):
    assert verhoeff(code)


def test_icd_codes_are_well_formed():
    codes = {row[0] for c in conditions().values() for row in (*c["codes"], *c.get("also", ()))}
    for entry in episodes().values():
        codes |= {row[0] for row in (*entry["principal"], *entry.get("with", ()))}
        codes.add(entry["reason"][0])
    assert len(codes) > 150
    assert [c for c in codes if not ICD10CM.fullmatch(c)] == []


def test_every_reference_has_its_target():
    for key, entry in conditions().items():
        assert set(entry.get("drugs", ())) <= set(keyed("drugs")), key
        assert set(entry.get("panels", ())) <= set(document("panels")), key
        assert set(entry.get("labs", ())) <= set(analytes()), key
        assert set(entry.get("vitals", ())) <= set(vitals()), key
        assert set(entry.get("risk", ())) <= set(episodes()), key
        assert set(entry.get("needs", ())) <= set(conditions()), key
        assert set(entry.get("excludes", ())) <= set(conditions()), key
    for key, entry in episodes().items():
        assert set(entry["drugs"]) | set(entry.get("home", ())) <= set(keyed("drugs")), key
        panels = set(entry.get("panels", ())) | set(entry.get("daily", ()))
        assert panels <= set(document("panels")), key
        assert set(entry.get("imaging", ())) <= set(keyed("imaging")), key
        assert set(entry.get("procedures", ())) <= set(keyed("procedures")), key
        assert set(entry.get("labs", ())) <= set(analytes()), key
        assert set(entry.get("vitals", ())) <= set(vitals()), key
        assert set(entry.get("needs", ())) <= set(conditions()), key
    for panel in document("panels").values():
        assert set(panel.get("results", ())) <= set(analytes())
        assert set(panel.get("findings", ())) <= set(document("findings"))
    for story in document("stories")["stories"]:
        assert set(story.get("conditions", ())) <= set(conditions()), story["name"]
        assert set(story.get("episodes", ())) <= set(episodes()), story["name"]


def test_changes_are_read():
    assert change("x0.5") == (True, 0.5)
    assert change("+3") == (False, 3.0)
    with pytest.raises(ValueError, match="could not convert"):
        change("high")


def test_levels_of_consciousness_are_those_of_acvpu():
    assert list(LEVELS) == ["A", "C", "V", "P", "U"]

"""Cohorts: who is in, when first, what each step leaves; saved ones give the same rows later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from lakehouse.errors import QueryError
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.storage.warehouse import Warehouse

from .conftest import settings, store_rows

START = datetime(2130, 1, 1, 8, tzinfo=UTC)


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def person(who: str, sex: str, age: int) -> dict[str, Any]:
    return {"record_id": f"p-{who}", "ordinal": 0, "patient_id": who, "sex": sex,
            "age_years": age, "stated_at": at(-900)}  # fmt: skip


def diagnosis(who: str, code: str, day: float, age: int, system: str = "icd10cm") -> dict[str, Any]:
    return {"record_id": f"d-{who}-{code}-{day}", "ordinal": 0, "patient_id": who, "code": code,
            "code_system": system, "recorded_at": at(day), "age_years": age}  # fmt: skip


def hba1c(who: str, value: float, day: float) -> dict[str, Any]:
    return {"record_id": f"o-{who}-{day}", "ordinal": 0, "patient_id": who, "code": "4548-4",
            "code_system": "loinc", "value_number": value, "unit": "%", "value_type": "NM",
            "status": "final", "observed_at": at(day), "stated_at": at(day),
            "age_years": 50}  # fmt: skip


ROWS = {
    "patients": [person(w, s, 50) for w, s in zip("abcdef", ["female", "male"] * 3, strict=True)],
    "conditions": [
        diagnosis("a", "E11.65", 10, 50),
        diagnosis("a", "E119", 5, 49),  # the first time counts, and the age at it
        diagnosis("b", "E11", 0, 60),
        diagnosis("c", "E110", 0, 80),
        diagnosis("d", "E10", 0, 50),
        diagnosis("e", "E11", 0, 50),
        diagnosis("e", "O244", 30, 50),
        diagnosis("f", "E1100", 0, 50, system="snomed"),  # a code that merely begins alike
    ],
    "observations": [
        hba1c("a", 6.5, 100),
        hba1c("b", 6.4, 10),
        hba1c("b", 9.0, 400),
        hba1c("c", 7.0, 1),
        hba1c("e", 8.0, -20),
    ],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("cohort") / "warehouse"
    Warehouse.create(path, settings()).close()
    store_rows(path, ROWS)
    return path


@pytest.fixture(scope="module")
def lake(path: Path) -> Iterator[Lakehouse]:
    with lakehouse.open(path) as opened:
        yield opened


def who(found: Any) -> str:
    return "".join(p for p, *_ in found.rows().fetchall())


def test_everyone_to_begin_with(lake: Lakehouse) -> None:
    assert who(lake.cohort("all")) == "abcdef"


def test_the_first_event_sets_the_index_time_and_the_age(lake: Lakehouse) -> None:
    rows = lake.cohort("t2dm").where(condition="E11").rows().arrow().to_pylist()
    assert [r["patient_id"] for r in rows] == ["a", "b", "c", "e"]
    assert (rows[0]["index_at"], rows[0]["age_years"]) == (at(5), 49)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"condition": "E11", "lab": ("4548-4", ">=", 6.5)}, "abce"),
        ({"condition": "E11", "lab": ("4548-4", ">=", 6.5), "within": "365 days"}, "ace"),
        ({"condition": "E11", "lab": ("4548-4", ">=", 6.5), "within": "10 days"}, "c"),
        ({"condition": "E11", "lab": ("4548-4", ">=", 6.5), "within": 20}, "ce"),
        ({"condition": "E11", "lab": ("hba1c", ">", 7)}, "be"),
        ({"condition": "E11", "without": {"condition": "O24"}}, "abc"),
        ({"condition": "E11", "without": {"condition": "O24"}, "within": "29 days"}, "abce"),
        ({"condition": "E11", "age": (18, 75)}, "abe"),
        ({"condition": "e11.0"}, "c"),
        ({"condition": ["E11", "O24"]}, "e"),
        ({"sex": "female"}, "ace"),
        ({"without": {"sex": "female"}}, "bdf"),
        ({"without": {"condition": "E11"}}, "df"),
        ({"age": (50, 50), "condition": "E11"}, "e"),
        ({"condition": "nothing"}, ""),
    ],
)
def test_criteria(lake: Lakehouse, asked: dict[str, Any], expected: str) -> None:
    assert who(lake.cohort("x").where(**asked)) == expected


def test_attrition_and_its_picture(lake: Lakehouse, tmp_path: Path) -> None:
    found = lake.cohort("t2dm").where(condition="E11", lab=("4548-4", ">=", 6.5), within="365 days")
    found = found.where(age=(18, 75), without={"condition": "O24"})
    assert [tuple(r.values()) for r in found.attrition().to_pylist()] == [
        (0, "all patients", 6, 0),
        (1, "condition E11", 4, 2),
        (2, "lab 4548-4 >= 6.5 within 365 days", 3, 1),
        (3, "age 18 to 75", 2, 1),
        (4, "without condition O24", 1, 1),
    ]
    assert len(found) == 1
    assert "condition E11" in found.picture(tmp_path / "t2dm.svg")
    assert (tmp_path / "t2dm.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    "asked",
    [
        {"condition": "E11' OR '1'='1"},
        {"condition": "'; DROP TABLE patients; --"},
        {"sex": "x' OR 'a'='a"},
        {"lab": ("4548-4' OR 1=1 --", ">=", 6.5)},
        {"medication": "') OR true --"},
    ],
)
def test_values_never_become_sql(lake: Lakehouse, asked: dict[str, Any]) -> None:
    assert who(lake.cohort("x").where(**asked)) == ""


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"conditon": "E11"}, "Did you mean condition"),
        ({"lab": ("4548-4", "~", 6.5)}, "Operators"),
        ({"lab": "4548-4"}, "takes a name"),
        ({"age": 18}, "two numbers"),
        ({"condition": ("E11", "E12")}, "give a list"),
        ({"vital": ("pulse; DROP", ">", 1)}, "column of vital_signs"),
        ({"vital": ("puls", ">", 1)}, "no column named puls"),
        ({"condition": "E11", "within": "soon"}, "A span reads"),
        ({}, "asks for nothing"),
    ],
)
def test_what_cannot_be_asked(lake: Lakehouse, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(QueryError, match=says):
        lake.cohort("x").where(**asked).rows()


def test_a_saved_cohort_gives_the_same_rows_later(tmp_path: Path) -> None:
    path = tmp_path / "warehouse"
    Warehouse.create(path, settings()).close()
    store_rows(path, ROWS)
    with lakehouse.open(path) as lake:
        asked = lake.cohort("t2dm").where(
            condition=["E11"], lab=("4548-4", ">=", 6.5), within="365 days", age=(18, 75)
        )
        before = asked.rows().fetchall()
        assert asked.save() == path / "cohorts" / "t2dm.json"
    for row in ROWS["patients"]:
        assert row["record_id"] not in (path / "cohorts" / "t2dm.json").read_text()

    store_rows(
        path,
        {
            "observations": [hba1c("b", 7.0, 11)],
            "conditions": [diagnosis("a", "E11", -50, 48), diagnosis("e", "E11", -390, 50)],
        },
    )
    with lakehouse.open(path) as lake:
        assert lake.cohort.names() == ["t2dm"]
        saved = lake.cohort.load("t2dm")
        assert saved.rows().fetchall() == before
        assert saved.sql() == asked.sql()
        assert who(saved.now()) == "ab"
        changes = saved.diff().to_pylist()
        assert [(r["patient_id"], r["change"]) for r in changes] == [
            ("a", "moved"),
            ("b", "added"),
            ("e", "removed"),
        ]
        assert (changes[0]["index_then"], changes[0]["index_now"]) == (at(5), at(-50))


def test_an_unknown_or_damaged_cohort(path: Path) -> None:
    with lakehouse.open(path) as lake:
        with pytest.raises(QueryError, match="no saved cohort"):
            lake.cohort.load("nobody")
        (path / "cohorts").mkdir(exist_ok=True)
        (path / "cohorts" / "broken.json").write_text("{")
        with pytest.raises(QueryError, match="damaged"):
            lake.cohort.load("broken")
        with pytest.raises(QueryError, match="name"):
            lake.cohort("../x")

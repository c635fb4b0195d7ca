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
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.warehouses import create_warehouse

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
    "patients": [
        person(w, s, 50) | {"state": state, "race": race, "ethnicity": ethnicity}
        for w, s, state, race, ethnicity in zip(
            "abcdef",
            ["female", "male"] * 3,
            ["MA", "NY", "MA", None, "CA", "NY"],
            ["2106-3", "2054-5", None, "2106-3", "2054-5", "2028-9"],
            ["H", "N", "N", "H", None, "N"],
            strict=True,
        )
    ],
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
    "procedures": [
        {
            "record_id": "r-b",
            "ordinal": 0,
            "patient_id": "b",
            "code": "5A1955Z",
            "code_system": "icd10pcs",
            "performed_at": at(3),
            "age_years": 60,
        },
    ],
    "medications": [
        {
            "record_id": "m-a",
            "ordinal": 0,
            "patient_id": "a",
            "order_id": "m-a",
            "kind": "order",
            "order_control": "NW",
            "code": "6809",
            "code_system": "rxnorm",
            "stated_at": at(6),
            "started_at": at(6),
            "age_years": 50,
        },
        {
            "record_id": "m-d",
            "ordinal": 0,
            "patient_id": "d",
            "order_id": "m-d",
            "kind": "order",
            "order_control": "NW",
            "code": "29046",
            "code_system": "rxnorm",
            "stated_at": at(-90),
            "started_at": at(-90),
            "age_years": 50,
        },
    ],
    "encounters": [
        {
            "record_id": "e-c",
            "ordinal": 0,
            "patient_id": "c",
            "encounter_id": "c1",
            "class": "E",
            "event": "A03",
            "stated_at": at(2),
            "admitted_at": at(2),
            "age_years": 80,
        },
        {
            "record_id": "e-f",
            "ordinal": 0,
            "patient_id": "f",
            "encounter_id": "f1",
            "class": "I",
            "event": "A03",
            "stated_at": at(2),
            "admitted_at": at(2),
            "age_years": 50,
        },
    ],
    "observations": [
        {
            "record_id": "v-e",
            "ordinal": 0,
            "patient_id": "e",
            "code": "8480-6",
            "code_system": "loinc",
            "value_number": 150.0,
            "value_type": "NM",
            "unit": "mm[Hg]",
            "status": "final",
            "observed_at": at(40),
            "stated_at": at(40),
            "age_years": 50,
        },
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
    create_warehouse(path, settings()).close()
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
        ({"age": (50, 50), "within": 5, "without": {"lab": ("hba1c", ">", 0)}}, "df"),
        ({"condition": "nothing"}, ""),
        ({"medication": "metformin"}, "a"),
        ({"medication": "A10BA02"}, "a"),
        ({"medication": "C09"}, "d"),
        ({"medication": "ace inhibitor"}, "d"),
        ({"medication": "6809"}, "a"),
        ({"without": {"medication": "metformin"}}, "bcdef"),
        ({"condition": "E11", "medication": "metformin", "within": 1}, "a"),
        ({"condition": "E11", "medication": "metformin", "within": 0}, ""),
        ({"procedure": "5A1955Z"}, "b"),
        ({"procedure": "5a19"}, "b"),
        ({"encounter": "emergency"}, "c"),
        ({"encounter": ["inpatient"]}, "f"),
        ({"vital": ("systolic_bp", ">", 140)}, "e"),
        ({"condition": "E11", "vital": ("systolic_bp", ">=", 150), "within": "40 days"}, "e"),
        ({"condition": "E11", "vital": ("systolic_bp", ">=", 150), "within": "39 days"}, ""),
        ({"state": "MA"}, "ac"),
        ({"race": "2054-5"}, "be"),
        ({"ethnicity": "H"}, "ad"),
        ({"ethnicity": "N", "race": "2028-9"}, "f"),
        ({"without": {"state": "MA"}}, "bdef"),
    ],
)
def test_criteria(lake: Lakehouse, asked: dict[str, Any], expected: str) -> None:
    assert who(lake.cohort("x").where(**asked)) == expected


def test_the_age_is_that_at_the_index_time_whichever_is_asked_first(lake: Lakehouse) -> None:
    first = lake.cohort("x").where(age=(40, 49)).where(sex="female").where(condition="E11")
    last = lake.cohort("x").where(sex="female").where(condition="E11").where(age=(40, 49))
    assert who(first) == who(last) == "a"  # 49 at the diagnosis, 50 at the latest record
    assert first.attrition().to_pylist() == last.attrition().to_pylist()
    near = lake.cohort("x").where(without={"condition": "O24"}, within=29).where(condition="E11")
    assert who(near) == "abce"


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
        ({"without": {"conditon": "E11"}}, "Did you mean condition"),
        ({"lab": ("4548-4", "~", 6.5)}, "operators"),
        ({"lab": "4548-4"}, "takes a name"),
        ({"age": 18}, "two numbers"),
        ({"condition": ("E11", "E12")}, "Give a list"),
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
    create_warehouse(path, settings()).close()
    store_rows(path, ROWS)
    with lakehouse.open(path) as lake:
        asked = lake.cohort("t2dm").where(
            condition=["E11"], lab=("4548-4", ">=", 6.5), within="365 days", age=(18, 75)
        )
        before = asked.rows().fetchall()
        assert asked.save() == str(path / "cohorts" / "t2dm.json")
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


@pytest.mark.slow
def test_maintenance_keeps_the_snapshots_of_a_saved_cohort(tmp_path: Path) -> None:
    path = tmp_path / "warehouse"
    create_warehouse(path, settings()).close()
    store_rows(path, ROWS)
    with lakehouse.open(path) as lake:
        asked = lake.cohort("t2dm").where(condition="E11", lab=("hba1c", ">=", 6.5))
        before = asked.rows().fetchall()
        asked.save()
    for i in range(22):
        store_rows(
            path,
            {
                "conditions": [diagnosis("d", "E11", i, 50)],
                "observations": [hba1c("d", 9.0, i)],
                "patients": [person(f"g{i}", "male", 30)],
            },
        )
    with Warehouse.open(path) as warehouse:
        maintain(warehouse, keep=1, grace=timedelta())
        assert len(warehouse.iceberg("conditions").metadata.snapshots) == 2
    with lakehouse.open(path) as lake:
        saved = lake.cohort.load("t2dm")
        assert saved.rows().fetchall() == before
        assert [(r["patient_id"], r["change"]) for r in saved.diff().to_pylist()] == [
            ("d", "added")
        ]
        (path / "cohorts" / "t2dm.json").rename(tmp_path / "t2dm.json")
    with Warehouse.open(path) as warehouse:
        maintain(warehouse, keep=1, grace=timedelta())
        assert len(warehouse.iceberg("conditions").metadata.snapshots) == 1
    (tmp_path / "t2dm.json").rename(path / "cohorts" / "t2dm.json")
    with lakehouse.open(path) as lake, pytest.raises(QueryError, match="snapshots that are gone"):
        lake.cohort.load("t2dm").rows()


def test_changed_code_sets_change_no_saved_cohort(tmp_path: Path) -> None:
    path, codes = tmp_path / "warehouse", tmp_path / "codes"
    create_warehouse(path, settings()).close()
    store_rows(path, ROWS)
    codes.mkdir()
    own = codes / "analytes.csv"
    own.write_text("code_system,code,analyte\nlocal,MYA1C,hba1c\n")
    with lakehouse.open(path, codes=[codes]) as lake:
        asked = lake.cohort("x").where(lab=("hba1c", ">=", 6.5))
        before = asked.rows().fetchall()
        assert [row[0] for row in before] == ["a", "b", "c", "e"]
        asked.save()
        assert lake.cohort.load("x").diff().num_rows == 0
    own.write_text("code_system,code,analyte\nloinc,4548-4,sodium\n")
    with lakehouse.open(path, codes=[codes]) as lake:
        saved = lake.cohort.load("x")
        assert saved.rows().fetchall() == before
        changes = saved.diff().to_pylist()
        assert (changes[0]["change"], changes[0]["definition"]) == ("redefined", "codes.analytes")
        assert [r["patient_id"] for r in changes[1:]] == ["a", "b", "c", "e"]
    with lakehouse.open(path) as lake:
        assert lake.cohort.load("x").changed_definitions() == ["codes.analytes"]


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

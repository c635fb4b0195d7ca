"""The rows that a session keeps are those of the tables it reads, whatever is written meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.query.connection.materialized import ALWAYS, SCHEMA, SUPERSEDED, WHEN_REPEATED
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.query.result import Result
from lakehouse.query.views.evaluate import evaluate_view
from lakehouse.query.views.library import dependency_order, load_views

from .conftest import Store, observations

IDENTITY = {"encounter_moves", "identity_changes"}
VALUES = "SELECT value FROM lab_results ORDER BY ALL"


def statement(record: str, value: float, status: str, hour: int, **other: Any) -> dict[str, Any]:
    at = datetime(2130, 1, 1, 8, tzinfo=UTC)
    return {
        "record_id": record,
        "ordinal": 0,
        "patient_id": "p1",
        "order_id": "o1",
        "code": "2345-7",
        "code_system": "loinc",
        "unit": "mg/dL",
        "value_number": value,
        "status": status,
        "observed_at": at,
        "stated_at": at.replace(hour=hour),
        **other,
    }


FIRST = statement("r1", 90.0, "final", 9)
CORRECTION = statement("r2", 95.0, "corrected", 10)


def values(result: Result) -> list[float]:
    return [row[0] for row in result.fetchall()]


def kept_tables(lake: Lakehouse) -> set[str]:
    sql = f"SELECT table_name FROM duckdb_tables() WHERE schema_name = '{SCHEMA}'"
    return {row[0] for row in lake._session.con.execute(sql).fetchall()}


def test_a_correction_takes_the_place_of_what_a_session_has_shown(
    empty: Path, store: Store
) -> None:
    store(empty, {"observations": [FIRST]})
    with Lakehouse(empty) as lake:
        assert values(lake.sql(VALUES)) == [90.0]
        store(empty, {"observations": [CORRECTION]})
        assert values(lake.sql(VALUES)) == [95.0]
        assert values(lake.sql(f"SELECT record_id FROM {SUPERSEDED}")) == ["r1"]


def test_a_result_that_is_read_late_never_shows_both(empty: Path, store: Store) -> None:
    """It was asked for before the correction came: then or now, but not half of each."""
    store(empty, {"observations": [FIRST]})
    with Lakehouse(empty) as lake:
        early = lake.sql(VALUES)
        store(empty, {"observations": [CORRECTION]})
        assert values(early) == [90.0]
        both = lake.sql("SELECT count(*) FROM observations")
        assert values(both) == [2], "a table that kept rows came from is renewed as well"
        assert values(lake.sql(VALUES)) == [95.0]


def test_merged_patients_are_found_again(empty: Path, store: Store) -> None:
    """The answer stands on more tables than the observations."""
    other = statement("r2", 95.0, "final", 10, patient_id="p2")
    store(empty, {"observations": [FIRST, other]})
    with Lakehouse(empty) as lake:
        assert values(lake.sql(VALUES)) == [90.0, 95.0]
        link = {"record_id": "r3", "ordinal": 0, "patient_id": "p1", "old_patient_id": "p2"}
        store(empty, {"patient_links": [{**link, "kind": "merge"}]})
        assert values(lake.sql(VALUES)) == [95.0]


def test_a_merge_is_followed_where_no_result_is_read(empty: Path, store: Store) -> None:
    at = datetime(2130, 1, 1, 8, tzinfo=UTC)
    rows = [
        {"record_id": f"r{n}", "ordinal": 0, "patient_id": f"p{n}", "stated_at": at} for n in (1, 2)
    ]
    store(empty, {"patients": rows})
    with Lakehouse(empty) as lake:
        patients = "SELECT count(*) FROM patients_current"
        assert values(lake.sql(patients)) == [2]
        assert kept_tables(lake) == {"identity_changes"}
        link = {"record_id": "r3", "ordinal": 0, "patient_id": "p1", "old_patient_id": "p2"}
        store(empty, {"patient_links": [{**link, "kind": "merge"}]})
        assert values(lake.sql(patients)) == [1]


def test_what_does_not_need_the_rows_does_not_look_for_them(filled: Path) -> None:
    with Lakehouse(filled) as lake:
        for sql in (
            "SELECT count(*) FROM observations",
            "DESCRIBE SELECT * FROM lab_results",
            "SHOW TABLES",
            "SELECT count(*) FROM patients_current",
        ):
            lake.sql(sql).fetchall()
        lake.describe("sofa")
        assert SUPERSEDED not in kept_tables(lake)
        lake.sql("SELECT count(*) FROM lab_results").fetchall()
        assert kept_tables(lake) == {*IDENTITY, SUPERSEDED}


def test_a_state_of_the_past_keeps_its_own(empty: Path, store: Store) -> None:
    store(empty, {"observations": [FIRST]})
    with Lakehouse(empty) as lake:
        then = lake.snapshots("observations").column("snapshot_id")[0].as_py()
    store(empty, {"observations": [CORRECTION]})
    with Lakehouse(empty, as_of=then) as lake:
        assert values(lake.sql(VALUES)) == [90.0]
        store(empty, {"observations": observations(3)})
        assert values(lake.sql(VALUES)) == [90.0]


def test_kept_rows_are_the_views_rows(empty: Path, store: Store) -> None:
    rows = [FIRST, CORRECTION, statement("r3", 97.0, "corrected", 11), *observations(20)]
    store(empty, {"observations": rows})
    expected = evaluate_view(SUPERSEDED, {"observations": rows})
    with Lakehouse(empty) as lake:
        kept = lake.sql(f"SELECT * FROM {SUPERSEDED} ORDER BY record_id, ordinal").arrow()
    assert kept.num_rows == 2
    assert kept.to_pylist() == expected.to_pylist()


def vital(record: str, code: str, value: float, hour: int, **other: Any) -> dict[str, Any]:
    at = datetime(2130, 1, 1, hour, tzinfo=UTC)
    more = {"observed_at": at, "code": code, "unit": "", "encounter_id": "e1", **other}
    return statement(record, value, "final", hour, **{"order_id": record, **more})


def test_what_one_query_needs_twice_is_kept(empty: Path, store: Store) -> None:
    breaths = "SELECT respiratory_rate FROM acute_values ORDER BY ALL"
    twice = "SELECT count(*) FROM qsofa, sofa"
    store(empty, {"observations": [vital("r1", "9279-1", 18.0, 8)]})
    with Lakehouse(empty) as lake:
        assert values(lake.sql(breaths)) == [18.0]
        assert kept_tables(lake) == {*IDENTITY, SUPERSEDED}, (
            "one look at them is not worth the memory"
        )
        lake.sql(twice).fetchall()
        assert kept_tables(lake) == {*IDENTITY, SUPERSEDED, "acute_values"}
        assert values(lake.sql(breaths)) == [18.0]
        store(empty, {"observations": [vital("r2", "9279-1", 20.0, 9)]})
        assert values(lake.sql(breaths)) == [18.0, 20.0]
        assert kept_tables(lake) == {*IDENTITY, SUPERSEDED}, "what is old is not kept"
        lake.sql(twice).fetchall()
        store(empty, {"observations": [vital("r3", "9279-1", 22.0, 10)]})
        lake.sql(twice).fetchall()
        assert values(lake.sql(breaths)) == [18.0, 20.0, 22.0]


CULTURE = {
    "record_id": "o1",
    "ordinal": 0,
    "patient_id": "p1",
    "encounter_id": "e1",
    "code": "600-7",
    "code_system": "loinc",
    "observed_at": datetime(2130, 1, 1, 8, tzinfo=UTC),
}
ANTIBIOTIC = {
    "record_id": "m1",
    "ordinal": 0,
    "patient_id": "p1",
    "encounter_id": "e1",
    "kind": "encoded-order",
    "order_control": "NW",
    "code": "2193",
    "code_system": "rxnorm",
    "started_at": datetime(2130, 1, 1, 9, tzinfo=UTC),
}
READERS = {
    "patient_conditions": "charlson",
    "suspected_infections": "cohort_sepsis",
    "acute_values": "sofa, qsofa",
    "risk_factor_values": "cardiovascular_inputs",
}


def reads(view: str) -> set[str]:
    views = load_views()
    return {d for n in dependency_order([view], views) for d in views[n].depends_on}


@pytest.mark.parametrize("shared", WHEN_REPEATED)
def test_what_is_kept_are_the_views_rows(empty: Path, store: Store, shared: str) -> None:
    rows = [
        vital("r1", "8480-6", 80.0, 8),
        vital("r2", "9279-1", 18.0, 8),
        {**vital("r3", "8480-6", 85.0, 8, order_id="r1"), "status": "corrected"},
    ]
    tables = {
        "observations": rows,
        "orders": [CULTURE],
        "medications": [ANTIBIOTIC],
        "conditions": [diagnosis("r1", "I50.9")],
    }
    store(empty, tables)
    expected = evaluate_view(shared, {n: r for n, r in tables.items() if n in reads(shared)})
    with Lakehouse(empty) as lake:
        lake.sql(f"SELECT count(*) FROM {READERS[shared]}").fetchall()
        kept = lake.sql(f"SELECT * FROM {shared} ORDER BY ALL").arrow()
        assert {shared} <= kept_tables(lake) <= {*ALWAYS, shared}
    assert kept.num_rows == 1
    assert kept.to_pylist() == expected.to_pylist()


def diagnosis(record: str, code: str) -> dict[str, Any]:
    at = datetime(2130, 1, 1, 8, tzinfo=UTC)
    said = {"patient_id": "p1", "encounter_id": "e1", "recorded_at": at, "stated_at": at}
    return {"record_id": record, "ordinal": 0, "code": code, "code_system": "icd10cm", **said}


def test_a_new_diagnosis_is_named_in_a_session_that_has_shown_others(
    empty: Path, store: Store
) -> None:
    """Kept are the codes that were met; results and diagnoses are kept apart."""
    conditions = "SELECT condition FROM patient_conditions ORDER BY ALL"
    store(empty, {"conditions": [diagnosis("r1", "I50.9")]})
    with Lakehouse(empty) as lake:
        assert values(lake.sql(conditions)) == ["heart_failure"]
        assert kept_tables(lake) == {*IDENTITY, "condition_codes"}
        store(empty, {"observations": [FIRST]})
        assert values(lake.sql(VALUES)) == [90.0]
        assert kept_tables(lake) == {*ALWAYS}
        store(empty, {"conditions": [diagnosis("r2", "J44.9")], "observations": [CORRECTION]})
        assert values(lake.sql(conditions)) == ["copd", "heart_failure"]
        assert values(lake.sql(VALUES)) == [95.0]


def test_a_warehouse_without_rows(empty: Path) -> None:
    with Lakehouse(empty) as lake:
        assert values(lake.sql(VALUES)) == []
        assert values(lake.sql(VALUES)) == []

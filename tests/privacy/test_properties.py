"""What holds for any rows: intervals survive, nothing identifying does, order does not matter."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.batch import RawBatch
from lakehouse.definitions.tables import load_tables
from lakehouse.identifiers import qualified
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.identity.pseudonyms import offset_days, pseudonym
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy

KEY = hashlib.sha256(b"one").digest()
SAFE, LIMITED = load_policy("safe_harbor"), load_policy("limited")
NUMBERS = ["1001", "1002", "A7 ", "a7", "007"]
INSTANT = pa.timestamp("us", "UTC")
FEEDERS = {"observations": "observed_at", "encounters": "admitted_at", "records": "recorded_at"}
"""Tables and one of their times: statements of three kinds of messages."""

instants = st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
events = st.lists(
    st.tuples(st.sampled_from(list(FEEDERS)), st.sampled_from(NUMBERS), instants),
    min_size=2,
    max_size=25,
)


def deidentified(rows: list[tuple[str, str, datetime]]) -> dict[str, list[tuple[str, datetime]]]:
    """One message or file: a batch of its own, by an engine of its own, as in another process."""
    tables = {}
    for name, field in FEEDERS.items():
        mine = [(number, when) for table, number, when in rows if table == name]
        tables[name] = pa.table({
            "patient_id": qualified("HOSP", pa.array([n for n, _ in mine], pa.string())),
            field: pa.array([w for _, w in mine], INSTANT),
        })  # fmt: skip
    clean = Deidentifier(SAFE, Secret(KEY))(RawBatch(tables))
    return {
        name: list(
            zip(
                clean.tables[name]["patient_id"].to_pylist(),
                clean.tables[name][field].to_pylist(),
                strict=True,
            )
        )
        for name, field in FEEDERS.items()
    }


@settings(max_examples=60)
@given(events, st.integers(1, 24))
def test_intervals_survive_across_messages_files_runs_and_tables(
    rows: list[tuple[str, str, datetime]], cut: int
) -> None:
    first, second = rows[:cut], rows[cut:]  # two files, read in two runs
    found = [deidentified(part) for part in (first, second)]
    lines: dict[str, list[tuple[datetime, datetime]]] = {}
    for part, result in zip((first, second), found, strict=True):
        for name in FEEDERS:
            true = [(number, when) for table, number, when in part if table == name]
            for (number, when), (who, moved) in zip(true, result[name], strict=True):
                assert who == pseudonym(Secret(KEY), "patient", "HOSP", number)
                assert moved.time() == when.time()
                lines.setdefault(who, []).append((when, moved))
    for line in lines.values():
        shifts = {moved - when for when, moved in line}
        assert len(shifts) == 1
        assert 36_525 <= shifts.pop().days <= 73_049
    assert len(lines) == len({number.strip().upper() for _, number, _ in rows})


@settings(max_examples=60)
@given(events)
def test_the_limited_profile_keeps_true_times(rows: list[tuple[str, str, datetime]]) -> None:
    raw = pa.table({
        "patient_id": qualified("HOSP", pa.array([n for _, n, _ in rows])),
        "observed_at": pa.array([w for *_, w in rows], INSTANT),
    })  # fmt: skip
    clean = Deidentifier(LIMITED, Secret(KEY))(RawBatch({"observations": raw}))
    assert clean.tables["observations"]["observed_at"].to_pylist() == [w for *_, w in rows]


@settings(max_examples=20)
@given(st.data())
def test_rows_do_not_depend_on_their_neighbours(data: st.DataObject) -> None:
    """Any division into batches gives the same rows: what exactly-once stands on."""
    count = data.draw(st.integers(1, 12))
    drawn = [{**data.draw(raw_row()), "record_id": f"r{i}"} for i in range(count)]
    cut = data.draw(st.integers(0, count))

    def rows_of(part: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
        statements = table_of(part)
        people = statements.select(["record_id", "patient_id", "_birth_date"])
        raw = RawBatch({"observations": statements, "patients": people})
        return Deidentifier(SAFE, Secret(KEY))(raw).tables[name].to_pylist()

    for name in ("observations", "patients"):
        assert rows_of(drawn, name) == rows_of(drawn[:cut], name) + rows_of(drawn[cut:], name)


@st.composite
def raw_row(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "number": draw(st.sampled_from([*NUMBERS, None])),
        "observed_at": draw(st.none() | instants),
        "_birth_date": draw(st.none() | st.dates(date(1900, 1, 1), date(2024, 1, 1))),
        "code": draw(st.sampled_from(["2345-7", "GLU", "555-123-4567", None])),
        "code_system": draw(st.sampled_from(["loinc", "local", None])),
        "code_display": draw(st.sampled_from(["Glucose", "Jane Doe", None])),
    }


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    schema = load_tables()["observations"].schema
    columns = {
        name: pa.array([row[name] for row in rows], schema.field(name).type)
        for name in ("record_id", "observed_at", "code", "code_system", "code_display")
    }
    numbers = pa.array([row["number"] for row in rows], pa.string())
    births = pa.array([row["_birth_date"] for row in rows], pa.date32())
    return pa.table({"patient_id": qualified("HOSP", numbers), "_birth_date": births, **columns})


TOKEN = "QZXCANARY"


@pytest.mark.parametrize("policy", [SAFE, LIMITED], ids=lambda p: p.name)
def test_no_identifier_survives_in_any_table(policy: Any) -> None:
    """A token of its own in every string column of every table, and what may keep it."""
    may_keep = {"none", "code"} | ({"facility", "address.city"} if policy is LIMITED else set())
    for table in load_tables().values():
        raw: dict[str, pa.Array] = {}
        for column in table.columns.values():
            if column.type == pa.string():
                value = pa.array([f"{TOKEN} {column.name}"])
                raw[column.name] = qualified(TOKEN, value) if _qualified(column.phi) else value
        batch = Deidentifier(policy, Secret(KEY))(RawBatch({table.name: pa.table(raw)}))
        for name, column in table.columns.items():
            kept = TOKEN.lower() in str(batch.tables[table.name][name].to_pylist()).lower()
            assert not kept or column.phi in may_keep, f"{table.name}.{name}"


def _qualified(phi: str) -> bool:
    return phi in ("patient", "provider", "facility") or phi.startswith("identifier.")


@settings(max_examples=40)
@given(st.text("0123456789", min_size=1, max_size=9), st.text("ABC", max_size=3))
def test_the_engine_gives_what_the_scalar_doors_give(number: str, authority: str) -> None:
    secret = Secret(KEY)
    when = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    raw = pa.table({
        "patient_id": qualified(authority, pa.array([number])),
        "encounter_id": qualified(authority, pa.array([number])),
        "admitted_at": pa.array([when], INSTANT),
    })  # fmt: skip
    (row,) = (
        Deidentifier(SAFE, secret)(RawBatch({"encounters": raw})).tables["encounters"].to_pylist()
    )
    assert row["patient_id"] == pseudonym(secret, "patient", authority, number)
    assert row["encounter_id"] == pseudonym(secret, "identifier.encounter", authority, number)
    assert (row["admitted_at"] - when).days == offset_days(secret, authority, number)

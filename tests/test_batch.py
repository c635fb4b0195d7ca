"""The types that name the stages, and who may make which."""

from __future__ import annotations

import pickle
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.batch import (
    CleanBatch,
    RawBatch,
    Reject,
    conform,
    make_clean_batch,
    merge_dropped,
    rejects_table,
)
from lakehouse.definitions.tables import load_tables
from lakehouse.identifiers import SEPARATOR, qualified


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_raw_batch_refuses_to_travel(protocol: int) -> None:
    raw = RawBatch({"patients": pa.table({"patient_id": ["1"]})})
    for thing in (raw, [raw], {"batch": raw}):
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(thing, protocol)


@pytest.mark.parametrize("key", [None, object(), True, "seal"])
def test_a_clean_batch_is_made_by_seal_alone(key: object) -> None:
    with pytest.raises(TypeError, match=r"privacy\.deidentify only"):
        CleanBatch({}, {}, seal=key)
    with pytest.raises(TypeError):
        CleanBatch({}, {})  # type: ignore[call-arg]


def test_a_clean_batch_travels_and_stays_as_it_was() -> None:
    done = make_clean_batch({"orders": pa.table({"record_id": ["a"]})}, {"orders.code:dropped": 2})
    again = pickle.loads(pickle.dumps(done))
    assert isinstance(again, CleanBatch)
    assert again.tables["orders"].equals(done.tables["orders"])
    assert again.counts == {"orders.code:dropped": 2}
    assert again.nbytes == done.nbytes > 0


def test_seal_gives_the_stored_schema() -> None:
    narrow = pa.table({"ordinal": pa.array([1], pa.int8()), "record_id": ["a"], "extra": ["x"]})
    done = make_clean_batch({"orders": narrow}).tables["orders"]
    assert done.schema.equals(load_tables()["orders"].schema)
    (row,) = done.to_pylist()
    assert {k: v for k, v in row.items() if v is not None} == {"record_id": "a", "ordinal": 1}
    with pytest.raises(KeyError):
        make_clean_batch({"diaries": narrow})


def test_conform_of_nothing() -> None:
    schema = load_tables()["orders"].schema
    assert conform(pa.table({}), schema).num_rows == 0
    assert conform(schema.empty_table(), schema).schema.equals(schema)


authorities = st.none() | st.text(st.sampled_from(["A", "B", SEPARATOR, " "]), max_size=4)


@given(st.lists(st.tuples(authorities, authorities), min_size=1, max_size=20))
def test_qualified_keeps_authority_and_number_apart(
    pairs: list[tuple[str | None, str | None]],
) -> None:
    found = qualified(
        pa.array([a for a, _ in pairs], pa.string()), pa.array([n for _, n in pairs], pa.string())
    ).to_pylist()
    for (authority, number), raw in zip(pairs, found, strict=True):
        if not number:
            assert raw is None
            continue
        assert raw.partition(SEPARATOR) == (
            (authority or "").replace(SEPARATOR, " "), SEPARATOR, number
        )  # fmt: skip
        assert qualified(authority or "", pa.array([number])).to_pylist() == [raw]


def test_rejects_become_a_raw_table() -> None:
    table = rejects_table([Reject(4, "rule", "message", "PID-3", "row", 12, file_id="f")])
    (row,) = table.to_pylist()
    assert (row["record_ordinal"], row["level"], row["file_id"]) == (4, "row", "f")
    assert set(table.column_names) < set(load_tables()["rejects"].columns)
    assert rejects_table([]).num_rows == 0


def test_dropped_counts_add_up() -> None:
    assert merge_dropped([Counter(ZPD=2), Counter(ZPD=1, NTE=1)]) == Counter(ZPD=3, NTE=1)
    assert merge_dropped([]) == Counter()

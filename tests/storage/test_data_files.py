from __future__ import annotations

import math
import pickle
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.definitions.tables import PHI_CLASSES, load_tables
from lakehouse.storage.io.column_metrics import round_up
from lakehouse.storage.io.data_files import WrittenFile, bucket_of, write_tables
from lakehouse.storage.metadata.schemas import BOUNDED
from lakehouse.storage.transactions import journal
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

from .cases import SETTINGS, ingest, ledger, patient, rows


@pytest.fixture
def written(warehouse: Warehouse) -> list[WrittenFile]:
    with IngestTransaction(warehouse, "one") as transaction:
        return write_tables(warehouse.write_spec(), rows("one", 50), transaction.attempt, 3)


def test_rows_are_sorted_inside_a_file(warehouse: Warehouse) -> None:
    with IngestTransaction(warehouse, "one") as transaction:
        spec = warehouse.write_spec()
        at = [datetime(2150, 1, 2, tzinfo=UTC), None, datetime(2150, 1, 1, tzinfo=UTC)] * 2
        who = ["b", "b", "b", "a", None, "a"]
        table = pa.table({"patient_id": who, "stated_at": at, "ordinal": list(range(6))})
        (file,) = write_tables(spec, {"patients": table}, transaction.attempt, 0)
        stored = pq.read_table(file.location)
        assert stored["patient_id"].to_pylist() == ["a", "a", "b", "b", "b", None]
        assert stored["ordinal"].to_pylist() == [5, 3, 2, 0, 1, 4]


@pytest.mark.parametrize("patients", [1, 20, 5_000])
def test_many_rows_are_sorted_whether_or_not_their_first_key_tells_them_apart(
    warehouse: Warehouse, patients: int
) -> None:
    some = random.Random(patients)
    who = [f"{some.randrange(patients):08d}{i % 3}" for i in range(3_000)]
    at = [datetime(2150, 1, some.randrange(1, 29), tzinfo=UTC) for _ in who]
    table = pa.table({"patient_id": who, "stated_at": at, "ordinal": list(range(3_000))})
    with IngestTransaction(warehouse, "one") as transaction:
        spec = warehouse.write_spec()
        (file,) = write_tables(spec, {"patients": table}, transaction.attempt, 0)
        stored = pq.read_table(file.location)
    assert stored["ordinal"].to_pylist() == sorted(range(3_000), key=lambda i: (who[i], at[i], i))


def test_a_file_carries_the_ids_of_its_columns(warehouse: Warehouse) -> None:
    ingest(warehouse, "one")
    (task,) = warehouse.iceberg("patients").scan().plan_files()
    for field in pq.ParquetFile(task.file.file_path).schema_arrow:
        expected = warehouse.iceberg("patients").schema().find_field(field.name).field_id
        assert field.metadata[b"PARQUET:field_id"] == str(expected).encode()


def test_only_columns_whose_class_allows_keep_bounds(warehouse: Warehouse) -> None:
    table = load_tables()["observations"]
    filled = {
        c.name: pa.array(["canary"] if pa.types.is_string(c.type) else [None], c.type)
        for c in table.columns.values()
    }
    ingest(warehouse, "one", tables={"observations": pa.table(filled)})
    iceberg = warehouse.iceberg("observations")
    (task,) = iceberg.scan().plan_files()
    kept = {iceberg.schema().find_column_name(i) for i in task.file.lower_bounds}
    assert kept == {
        c.name for c in table.columns.values() if c.phi in BOUNDED and pa.types.is_string(c.type)
    }
    assert "encounter_id" not in kept
    group = pq.read_metadata(task.file.file_path).row_group(0)
    in_footer = {
        group.column(i).path_in_schema
        for i in range(group.num_columns)
        if group.column(i).is_stats_set and group.column(i).statistics.has_min_max
    }
    assert in_footer == kept


def test_no_class_of_people_places_or_texts_keeps_bounds() -> None:
    assert set(PHI_CLASSES) > BOUNDED
    for phi in ("identifier.order", "provider", "facility", "address.postal", "text", "name"):
        assert phi not in BOUNDED


def test_a_file_is_closed_at_its_target_size(warehouse: Warehouse) -> None:
    n = 400_000
    with IngestTransaction(warehouse, "one") as transaction:
        spec = replace(warehouse.write_spec(), target_bytes=100_000)
        table = pa.table({"record_id": [f"{i:032x}" for i in range(n)]})
        files = write_tables(spec, {"records": table}, transaction.attempt, 0)
        assert len(files) > 1
        assert sum(f.rows for f in files) == n
        assert len({f.location for f in files}) == len(files)
        for file in files:
            assert Path(file.location).stat().st_size == file.size
            assert pq.read_metadata(file.location).num_rows == file.rows
        transaction.commit(files, ledger("one"))
    stored = warehouse.iceberg("records").scan().to_arrow()["record_id"].to_pylist()
    assert sorted(stored) == table["record_id"].to_pylist()


def test_the_dictionary_of_a_row_group_has_no_value_of_another(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.storage.io.data_files.ROW_GROUP_ROWS", 100)
    who = [f"{i // 10:032x}" for i in range(1_000)]
    table = pa.table({"patient_id": who, "ordinal": list(range(1_000))})
    with IngestTransaction(warehouse, "one") as transaction:
        spec = warehouse.write_spec()
        (file,) = write_tables(spec, {"patients": table}, transaction.attempt, 0)
        stored = pq.ParquetFile(file.location, read_dictionary=["patient_id"])
        groups = [stored.read_row_group(i)["patient_id"].chunk(0) for i in range(10)]
    assert stored.num_row_groups == 10
    assert [g.dictionary.to_pylist() for g in groups] == [
        sorted(set(who[i : i + 100])) for i in range(0, 1_000, 100)
    ]


def test_tables_without_rows_write_nothing(warehouse: Warehouse) -> None:
    with IngestTransaction(warehouse, "one") as transaction:
        empty = pa.table({"record_id": pa.array([], pa.string())})
        assert write_tables(warehouse.write_spec(), {"orders": empty}, transaction.attempt, 0) == []
        assert transaction.commit([], ledger("one")) == {"ingest_files": 1, "ingests": 1}
    assert warehouse.snapshots("orders").num_rows == 0


def test_buckets_are_those_of_iceberg(tmp_path: Path) -> None:
    with Warehouse.create(tmp_path / "w", replace(SETTINGS, buckets=8)) as warehouse:
        table = rows("one", 100)["observations"]
        someone = pa.concat_tables(
            [table, table.slice(0, 1).set_column(2, "patient_id", pa.array([None], pa.string()))]
        )
        ingest(warehouse, "one", tables={"observations": someone})
        iceberg = warehouse.iceberg("observations")
        tasks = list(iceberg.scan().plan_files())
        assert sum(t.file.record_count for t in tasks) == 101
        transform = iceberg.spec().fields[0].transform
        for task in tasks:
            for who in pq.read_table(task.file.file_path)["patient_id"].to_pylist():
                source = iceberg.schema().find_field("patient_id").field_type
                assert task.file.partition[0] == transform.transform(source)(who)
        found = iceberg.scan(row_filter=f"patient_id = '{patient(7)}'")
        assert len(list(found.plan_files())) == 1
        assert found.to_arrow().num_rows == 1
        assert not warehouse.iceberg("ingests").spec().fields


def test_a_bucket_of_nothing_is_nothing() -> None:
    assert bucket_of(pa.chunked_array([["a", None]]), 4).to_pylist()[1] is None


def test_what_a_worker_returns_is_small(written: list[WrittenFile]) -> None:
    for file in written:
        assert len(pickle.dumps(file)) < 2500
        assert pickle.loads(pickle.dumps(file)) == file


def test_a_write_spec_travels_and_shows_nothing(warehouse: Warehouse) -> None:
    spec = warehouse.write_spec()
    assert (
        pickle.loads(pickle.dumps(spec)).tables["patients"].schema == spec.tables["patients"].schema
    )
    assert len(repr(spec)) < 300


def test_a_journal_says_what_was_written(warehouse: Warehouse, written: list[WrittenFile]) -> None:
    entry = journal.Journal("one", "0-a", tuple(written))
    journal.write_journal(warehouse.files, warehouse.attempts, entry)
    assert journal.read_journal(warehouse.files, warehouse.attempts, "0-a") == entry
    warehouse.files.delete(journal.journal_location(warehouse.attempts, "0-a"))


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_an_upper_bound_is_never_below(text: str) -> None:
    bound = round_up(text)
    assert bound is None or (bound >= text.encode() and len(bound.decode()) <= 16)


def test_values_that_have_no_order_do_not_spoil_the_bounds(warehouse: Warehouse) -> None:
    table = pa.table({"record_id": ["a"] * 4, "value_number": [1.5, math.nan, -2.0, None]})
    ingest(warehouse, "one", tables={"observations": table})
    found = warehouse.iceberg("observations").scan(row_filter="value_number < -1").to_arrow()
    assert found["value_number"].to_pylist() == [-2.0]


def test_a_task_that_runs_again_replaces_its_files(warehouse: Warehouse) -> None:
    with IngestTransaction(warehouse, "one") as transaction:
        spec = warehouse.write_spec()
        big = replace(spec, target_bytes=1)
        table = {"patients": pa.table({"record_id": [f"{i}" for i in range(300_000)]})}
        first = write_tables(big, table, transaction.attempt, 0)
        second = write_tables(spec, table, transaction.attempt, 0)
        assert len(first) == 3
        assert len(second) == 1
        transaction.commit(second, ledger("one"))
    assert warehouse.iceberg("patients").scan().to_arrow().num_rows == 300_000
    stored = warehouse.files.list(warehouse.location("patients") + "/data")
    assert [e.location for e in stored] == [second[0].location]

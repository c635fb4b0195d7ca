from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lakehouse.errors import CommitError
from lakehouse.storage.io.data_files import WrittenFile, write_tables
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.maintenance.releases import create_release, list_releases
from lakehouse.storage.maintenance.row_erasure import erase_rows
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

from .cases import content, ingest, ledger, patient, rows, unreferenced

WHO = patient(2)


def holding(warehouse: Warehouse, value: str) -> list[str]:
    """Return every file of the warehouse in which a value can be found, decoded or plain."""
    found = []
    for path in Path(warehouse.path).rglob("*"):
        if path.is_file():
            hit = value.encode() in path.read_bytes()
            if path.suffix == ".parquet":
                hit |= value in repr(pq.read_table(path).to_pylist())
            found += [path.name] if hit else []
    return found


def test_no_file_holds_an_erased_patient(warehouse: Warehouse) -> None:
    for name in ("a", "b"):
        ingest(warehouse, name)
    create_release(warehouse, "first")
    ingest(warehouse, "c")
    maintain(warehouse)
    others = [r for r in content(warehouse, "patients") if WHO not in r]
    assert holding(warehouse, WHO), "the search must be able to find it"
    report = {e.table: e for e in erase_rows(warehouse, {"patient_id": {WHO}})}
    assert holding(warehouse, WHO) == []
    assert report["patients"].rows == report["observations"].rows == 3
    assert content(warehouse, "patients") == others
    assert unreferenced(warehouse) == set()


def test_a_release_goes_on_without_the_patient(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", 4)
    create_release(warehouse, "first")
    ingest(warehouse, "b", 4)
    erase_rows(warehouse, {"patient_id": {WHO}})
    (release,) = list_releases(warehouse)
    snapshot = release.snapshots["patients"]
    held = warehouse.iceberg("patients").scan(snapshot_id=snapshot).to_arrow()
    assert sorted(held["record_id"].to_pylist()) == ["a-00000000", "a-00000001", "a-00000003"]
    assert release.rows["patients"] == 3
    shown = warehouse.snapshots("patients").to_pylist()
    assert [s["release"] for s in shown] == ["first", None]
    assert shown[-1]["snapshot_id"] == warehouse.iceberg("patients").current_snapshot().snapshot_id
    assert set(warehouse.iceberg("patients").metadata.refs) == {"main", "first"}


def test_several_columns_together_name_a_row(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", 3)
    key = ("record_id", "ordinal")
    erase_rows(warehouse, {key: {("a-00000001", 0), ("a-00000002", 7)}})
    kept = warehouse.iceberg("patients").scan().to_arrow()["record_id"].to_pylist()
    assert sorted(kept) == ["a-00000000", "a-00000002"]


def test_a_value_that_nobody_has_changes_nothing(warehouse: Warehouse) -> None:
    ingest(warehouse, "a")
    ingest(warehouse, "b")
    before = {t: warehouse.iceberg(t).metadata_location for t in warehouse.tables()}
    assert erase_rows(warehouse, {"patient_id": {patient(99)}}) == []
    assert {t: warehouse.iceberg(t).metadata_location for t in warehouse.tables()} == before


def test_erasing_everything_leaves_an_empty_table(warehouse: Warehouse) -> None:
    ingest(warehouse, "a", 2)
    erase_rows(warehouse, {"patient_id": {patient(1), patient(2)}})
    assert content(warehouse, "patients") == []
    ingest(warehouse, "b", 2)
    assert len(content(warehouse, "patients")) == 2


def test_erasure_waits_for_no_ingest_but_refuses(warehouse: Warehouse) -> None:
    ingest(warehouse, "a")
    with IngestTransaction(warehouse, "b"), pytest.raises(CommitError, match="is running"):
        erase_rows(warehouse, {"patient_id": {WHO}})
    assert len(content(warehouse, "patients")) == 3


def test_an_ingest_that_begins_meanwhile_keeps_its_files(warehouse: Warehouse) -> None:
    """It leases its attempt when erasure has looked; what it writes must not count as unused."""
    ingest(warehouse, "a")
    begun: list[IngestTransaction] = []
    written: list[WrittenFile] = []

    def wanted() -> dict[str, set[str]]:
        begun.append(IngestTransaction(warehouse, "b"))
        written.extend(write_tables(warehouse.write_spec(), rows("b"), begun[0].attempt, 0))
        return {"patient_id": {WHO}}

    erase_rows(warehouse, wanted)
    begun[0].commit(written, ledger("b"))
    assert len(content(warehouse, "patients")) == 2 + 3
    assert unreferenced(warehouse) == set()

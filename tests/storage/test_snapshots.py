"""A history that stays bounded, and what it must never drop."""

from __future__ import annotations

import pytest

from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.maintenance.releases import create_release
from lakehouse.storage.metadata import snapshots
from lakehouse.storage.transactions import journal
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

from .cases import content, ingest, ledger, rows, unreferenced


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules with smaller numbers."""
    monkeypatch.setattr(snapshots, "MAX_SNAPSHOTS", 6)
    monkeypatch.setattr(snapshots, "DROP_BATCH", 4)


def few(name: str) -> dict[str, object]:
    return {"patients": rows(name, 1)["patients"]}


def test_the_history_is_bounded_and_leaves_no_file(warehouse: Warehouse) -> None:
    for i in range(30):  # manifests are merged by twenties
        ingest(warehouse, f"ingest-{i}", tables=few(f"ingest-{i}"))
        assert warehouse.snapshots("patients").num_rows <= 10
    assert unreferenced(warehouse) == set()
    assert len(content(warehouse, "patients")) == 30
    metadata = warehouse.files.list(warehouse.location("patients") + "/metadata")
    assert len(metadata) < 60


def test_what_a_release_pins_is_never_dropped(warehouse: Warehouse) -> None:
    for i in range(14):
        ingest(warehouse, f"ingest-{i}", tables=few(f"ingest-{i}"))
        if i == 2:
            release = create_release(warehouse, "early")
    table = warehouse.iceberg("patients")
    held = table.scan(snapshot_id=release.snapshots["patients"]).to_arrow()
    assert held.num_rows == 3
    assert table.metadata.refs["early"].snapshot_id == release.snapshots["patients"]
    assert unreferenced(warehouse) == set()


def test_the_history_is_bounded_behind_what_must_stay(warehouse: Warehouse) -> None:
    """Replaced files and releases gather at its beginning; a ledger's do, one in fifty ingests."""
    for i in range(30):
        ingest(warehouse, f"ingest-{i}", tables=few(f"ingest-{i}"))
        if i < 6:
            create_release(warehouse, f"release-{i}")
        assert warehouse.snapshots("patients").num_rows <= 6 + 10
    assert len(content(warehouse, "patients")) == 30
    assert unreferenced(warehouse) == set()


def test_files_that_compaction_replaced_are_left_to_maintenance(warehouse: Warehouse) -> None:
    for i in range(4):
        ingest(warehouse, f"ingest-{i}", tables=few(f"ingest-{i}"))
    maintain(warehouse)
    for i in range(4, 18):
        ingest(warehouse, f"ingest-{i}", tables=few(f"ingest-{i}"))
    assert len(content(warehouse, "patients")) == 18
    assert unreferenced(warehouse) == set()


def test_the_traces_of_an_ingest_in_progress_stay(warehouse: Warehouse) -> None:
    """Its snapshot says that it has reached this table: without it, it would come twice."""
    with IngestTransaction(warehouse, "slow") as slow:
        written = write_tables(warehouse.write_spec(), few("slow"), slow.attempt, 0)
        journal.write_journal(
            warehouse.files,
            warehouse.attempts,
            journal.Journal("slow", slow.attempt, tuple(written)),
        )
        from lakehouse.storage.transactions.roll_forward import commit_table

        entry = journal.Journal("slow", slow.attempt, tuple(written))
        commit_table(warehouse, "patients", written, entry, {slow.attempt})
        for i in range(14):
            ingest(warehouse, f"ingest-{i}", tables=few(f"ingest-{i}"))
        assert "slow" in warehouse.snapshots("patients")["ingest_id"].to_pylist()
        slow.commit(written, ledger("slow"))
    ids = warehouse.iceberg("patients").scan().to_arrow()["record_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 15

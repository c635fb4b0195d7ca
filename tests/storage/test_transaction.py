from __future__ import annotations

import os

import pytest

from lakehouse.errors import CommitError
from lakehouse.storage.commits.references import referenced_files
from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.io.files import join
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.transactions.ledger import known_files
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

from .cases import content, ingest, ledger, rows


def test_an_ingest_lands_in_every_table_and_in_the_ledger(warehouse: Warehouse) -> None:
    added = ingest(warehouse, "one", 5)
    assert added == {"patients": 5, "observations": 5, "ingest_files": 1, "ingests": 1}
    assert len(content(warehouse, "patients")) == 5
    assert known_files(warehouse, ["file-of-one", "other"]) == {"file-of-one"}
    for table in added:
        snapshots = warehouse.snapshots(table).to_pylist()
        assert [s["ingest_id"] for s in snapshots] == ["one"]


def test_hints_follow_every_commit(warehouse: Warehouse) -> None:
    for name in ("one", "two"):
        ingest(warehouse, name)
        for table in warehouse.tables():
            iceberg = warehouse.iceberg(table)
            held = version_hints.read_stem(warehouse.files, warehouse.location(table))
            assert held == version_hints.metadata_stem(iceberg.metadata_location)


def test_an_aborted_ingest_leaves_nothing(warehouse: Warehouse) -> None:
    with pytest.raises(RuntimeError), IngestTransaction(warehouse, "one") as transaction:
        write_tables(warehouse.write_spec(), rows("one"), transaction.attempt, 0)
        raise RuntimeError
    assert not warehouse.files.list(warehouse.attempts)
    for table in warehouse.tables():
        assert not warehouse.files.list(join(warehouse.location(table), "data"))


def test_a_worker_that_outlives_its_ingest_writes_nothing(warehouse: Warehouse) -> None:
    with IngestTransaction(warehouse, "one") as transaction:
        attempt = transaction.attempt
    with pytest.raises(CommitError, match="has ended"):
        write_tables(warehouse.write_spec(), rows("one"), attempt, 0)
    assert not warehouse.files.list(join(warehouse.location("patients"), "data"))


def test_recover_leaves_a_living_ingest_alone(warehouse: Warehouse) -> None:
    with IngestTransaction(warehouse, "one") as transaction:
        written = write_tables(warehouse.write_spec(), rows("one"), transaction.attempt, 0)
        assert recover(warehouse) == []
        transaction.commit(written, ledger("one"))
    assert len(content(warehouse, "patients")) == 3


def test_two_ingests_at_once_do_not_both_store_one_file(warehouse: Warehouse) -> None:
    with IngestTransaction(warehouse, "one") as one, IngestTransaction(warehouse, "two") as two:
        assert one.claim(["a", "b"]) == {"a", "b"}
        assert two.claim(["b", "c"]) == {"c"}
        written = write_tables(warehouse.write_spec(), rows("two"), two.attempt, 0)
        with pytest.raises(CommitError, match="same files"):
            two.commit(written, ledger("two", ["b", "c"]))
        one.commit([], ledger("one", ["a", "b"]))
    assert content(warehouse, "patients") == []
    with IngestTransaction(warehouse, "three") as three:
        assert three.claim(["a", "b", "c"]) == {"c"}


def test_a_replay_takes_a_stored_file_again(warehouse: Warehouse) -> None:
    ingest(warehouse, "one")
    with IngestTransaction(warehouse, "two") as two:
        assert two.claim(["file-of-one"]) == set()
        assert two.claim(["file-of-one"], again=True) == {"file-of-one"}
        two.commit([], ledger("two", ["file-of-one"]))
    assert len(content(warehouse, "ingest_files")) == 2


def test_all_that_a_table_refers_to_would_survive_a_power_cut(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file is synced to the disk before anything durable names it."""
    synced, real = set(), os.fsync

    def fsync(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    ingest(warehouse, "one")
    table = warehouse.iceberg("patients")
    used = referenced_files(table)
    new = used.lists | used.manifests | used.data | {table.metadata_location}
    assert new <= synced
    assert {os.path.dirname(f) for f in new} <= synced
    assert any(f.endswith(".journal.tmp") or ".journal." in f for f in synced)

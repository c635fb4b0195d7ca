"""Two processes at once, lost answers, failing disks."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

import lakehouse
from lakehouse.errors import CommitError
from lakehouse.storage.commits import retry
from lakehouse.storage.io.files import join
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.transactions import leases, transaction
from lakehouse.storage.warehouse import Warehouse

from .cases import content, ingest, unreferenced
from .killed import start


def test_ingests_of_several_processes_all_land(warehouse: Warehouse) -> None:
    running = [start(warehouse.path, f"many:{name}") for name in "ab"]
    running.append(start(warehouse.path, "maintain"))
    for process in running:
        process.join(180)
    assert [p.exitcode for p in running] == [0, 0, 0]
    ids = warehouse.iceberg("patients").scan().to_arrow()["record_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 2 * 4 * 3
    assert warehouse.iceberg("ingests").scan().to_arrow().num_rows == 8
    for table in warehouse.tables():
        held = version_hints.read_stem(warehouse.files, warehouse.location(table))
        assert held == version_hints.metadata_stem(warehouse.iceberg(table).metadata_location)
    assert warehouse.files.list(warehouse.attempts) == []


def test_a_reader_beside_ingests_and_maintenance_sees_whole_ingests_only(
    warehouse: Warehouse,
) -> None:
    ingest(warehouse, "first")
    running = [start(warehouse.path, f"many:{name}") for name in "ab"]
    running.append(start(warehouse.path, "maintain-beside-readers"))
    seen = []
    query = "SELECT count(*), count(DISTINCT record_id), count(patient_id) FROM observations"
    with lakehouse.open(warehouse.path) as lake:
        while any(p.is_alive() for p in running):
            seen += lake.sql(query).fetchall()
        seen += lake.sql(query).fetchall()
    assert [p.exitcode for p in running] == [0, 0, 0]
    counts = [n for n, *others in seen if others == [n, n]]
    assert len(counts) == len(seen)
    assert counts == sorted(counts)
    assert {n % 3 for n in counts} == {0}
    assert counts[-1] == 3 + 2 * 4 * 3


def test_two_processes_with_one_file_store_it_once(warehouse: Warehouse) -> None:
    running = [start(warehouse.path, "claim") for _ in "ab"]
    for process in running:
        process.join(180)
    assert [p.exitcode for p in running] == [0, 0]
    assert len(content(warehouse, "patients")) == 3
    assert len(content(warehouse, "ingest_files")) == 1
    assert unreferenced(warehouse) == set()


@pytest.mark.parametrize("landed", [True, False])
def test_an_answer_that_is_lost_is_neither_a_loss_nor_a_double(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, landed: bool
) -> None:
    """The real catalog commits (or not) and then fails, once per table."""
    real, failed = warehouse.catalog.commit_table, set()

    def flaky(table: Any, requirements: Any, updates: Any) -> Any:
        name = table.name()[-1]
        if name not in failed:
            failed.add(name)
            if landed:
                real(table, requirements, updates)
            raise OperationalError("COMMIT", {}, OSError("connection lost"))
        return real(table, requirements, updates)

    monkeypatch.setattr(warehouse.catalog, "commit_table", flaky)
    ingest(warehouse, "one")
    assert failed == {"patients", "observations", "ingest_files", "ingests"}
    for table in failed:
        assert [s["ingest_id"] for s in warehouse.snapshots(table).to_pylist()] == ["one"]
    assert unreferenced(warehouse) == set()


def test_a_catalog_that_stays_away_is_told_and_the_next_run_completes(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Any:
        raise OperationalError("COMMIT", {}, OSError("secret address"))

    monkeypatch.setattr(retry, "MAX_FAILURES", 1)
    with monkeypatch.context() as broken:
        broken.setattr(warehouse.catalog, "commit_table", gone)
        with pytest.raises(CommitError) as told:
            ingest(warehouse, "one")
    assert "Run the same command again" in str(told.value)
    assert "secret" not in str(told.value)
    assert content(warehouse, "patients") == []
    assert recover(warehouse) == ["one"]
    assert len(content(warehouse, "patients")) == 3
    assert unreferenced(warehouse) == set()


def test_a_full_disk_is_told_and_leaves_nothing(warehouse: Warehouse) -> None:
    """A real refusal of the system: files may not grow beyond a few hundred bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        with pytest.raises(CommitError, match="is full"):
            ingest(warehouse, "one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    recover(warehouse)
    assert content(warehouse, "patients") == []
    assert unreferenced(warehouse) == set()
    ingest(warehouse, "one")
    assert len(content(warehouse, "patients")) == 3


@pytest.mark.parametrize("part", ["state", "tables/patients"])
def test_a_folder_that_cannot_be_written_is_told_and_the_next_run_completes(
    warehouse: Warehouse, read_only: Any, part: str
) -> None:
    folder = Path(warehouse.path) / part
    folder.mkdir(exist_ok=True)
    with read_only(folder), pytest.raises(CommitError, match="cannot be written") as told:
        ingest(warehouse, "one")
    assert told.value.remedy
    recover(warehouse)
    assert content(warehouse, "observations") == []
    assert unreferenced(warehouse) == set()
    ingest(warehouse, "one")
    assert len(content(warehouse, "patients")) == 3


def test_a_process_elsewhere_lives_as_long_as_its_heart_beats(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = leases.Lease(warehouse.files, warehouse.attempts, "ingest")
    (attempt,) = leases.list_attempts(warehouse.files, warehouse.attempts)
    monkeypatch.setattr(leases, "machine_id", lambda: "another machine")
    assert leases.is_alive(warehouse.files, warehouse.attempts, attempt)
    location = Path(join(warehouse.attempts, f"{attempt.id}.lease"))
    long_ago = location.stat().st_mtime - leases.DEAD_AFTER_SECONDS - 1
    os.utime(location, (long_ago, long_ago))
    (attempt,) = leases.list_attempts(warehouse.files, warehouse.attempts)
    assert not leases.is_alive(warehouse.files, warehouse.attempts, attempt)
    lease.beat()
    (attempt,) = leases.list_attempts(warehouse.files, warehouse.attempts)
    assert leases.is_alive(warehouse.files, warehouse.attempts, attempt)
    lease.release()


def test_a_number_that_a_later_process_got_is_no_sign_of_life() -> None:
    assert leases.start_time(os.getpid()) == leases.start_time(os.getpid())
    assert leases.start_time(os.getpid()) != leases.start_time(1)
    assert leases.start_time(2**22 + 1) is None


def test_an_ingest_that_was_taken_for_dead_commits_nothing(warehouse: Warehouse) -> None:
    from lakehouse.storage.io.data_files import write_tables
    from lakehouse.storage.transactions.transaction import IngestTransaction

    from .cases import ledger, rows

    with IngestTransaction(warehouse, "one") as transaction:
        written = write_tables(warehouse.write_spec(), rows("one"), transaction.attempt, 0)
        warehouse.files.delete(join(warehouse.attempts, f"{transaction.attempt}.lease"))
        with pytest.raises(CommitError):
            transaction.commit(written, ledger("one"))
    recover(warehouse)
    assert content(warehouse, "patients") == []
    assert unreferenced(warehouse) == set()


def test_the_ledger_stays_in_few_files(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LEDGER_FILES", 2)
    for i in range(6):
        ingest(warehouse, f"ingest-{i}")
    for table in ("ingests", "ingest_files"):
        assert len(list(warehouse.iceberg(table).scan().plan_files())) <= 3
        assert len(content(warehouse, table)) == 6
    assert len(list(warehouse.iceberg("patients").scan().plan_files())) == 6

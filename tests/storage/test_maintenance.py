from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.errors import UserError
from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.maintenance.releases import create_release
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

from .cases import content, ingest, ledger, rows, unreferenced

NOW = timedelta()


def everything(warehouse: Warehouse) -> dict[str, list[tuple[object, ...]]]:
    return {t: content(warehouse, t) for t in warehouse.tables()}


def test_small_files_become_one_sorted_file(warehouse: Warehouse) -> None:
    for i in range(5):
        ingest(warehouse, f"ingest-{i}", 4)
    before = everything(warehouse)
    report = {t.table: t for t in maintain(warehouse).tables}
    assert everything(warehouse) == before
    patients = report["patients"]
    assert (patients.before.files, patients.after.files) == (5, 1)
    assert patients.before.rows == patients.after.rows == 20
    stored = warehouse.iceberg("patients").scan().to_arrow()
    keys = list(zip(stored["patient_id"].to_pylist(), stored["stated_at"].to_pylist(), strict=True))
    assert keys == sorted(keys)


def test_only_the_newest_snapshots_stay_and_what_they_leave_goes_after_the_grace(
    warehouse: Warehouse,
) -> None:
    for i in range(5):
        ingest(warehouse, f"ingest-{i}")
    maintain(warehouse, keep=2)
    assert warehouse.snapshots("patients").num_rows == 2
    left = unreferenced(warehouse)
    assert left, "files that a query may still read are kept"
    assert {t.deleted for t in maintain(warehouse, keep=2).tables} == {0}
    assert unreferenced(warehouse) == left
    report = maintain(warehouse, keep=2, grace=NOW)
    assert unreferenced(warehouse) == set()
    assert sum(t.deleted for t in report.tables) == len(left)
    assert all(t.deleted_bytes > 0 for t in report.tables if t.deleted)
    assert len(content(warehouse, "patients")) == 15


@pytest.mark.parametrize("grace", [NOW, timedelta(hours=24)], ids=["no grace", "a day"])
@pytest.mark.parametrize("keep", [1, 2, 3, 20])
def test_a_dry_run_says_what_happens_and_changes_nothing(
    warehouse: Warehouse, keep: int, grace: timedelta
) -> None:
    for i in range(4):
        ingest(warehouse, f"ingest-{i}")
        if i == 1:
            create_release(warehouse, "early")
    for _ in range(2):  # the second has nothing to compact
        listed = {(e.location, e.size) for e in warehouse.files.list(warehouse.path)}
        expected = maintain(warehouse, keep=keep, grace=grace, dry_run=True)
        assert {(e.location, e.size) for e in warehouse.files.list(warehouse.path)} == listed
        done = maintain(warehouse, keep=keep, grace=grace)
        for one, other in zip(expected.tables, done.tables, strict=True):
            assert (one.table, one.before, one.deleted, one.waiting) == (
                other.table,
                other.before,
                other.deleted,
                other.waiting,
            )
            assert one.after.files == other.after.files
            assert one.after.snapshots == other.after.snapshots
            assert one.deleted_bytes == other.deleted_bytes or (keep == 1 and one.deleted_bytes)


def test_a_running_ingest_is_left_alone(warehouse: Warehouse) -> None:
    ingest(warehouse, "one")
    with IngestTransaction(warehouse, "two") as transaction:
        written = write_tables(warehouse.write_spec(), rows("two"), transaction.attempt, 0)
        maintain(warehouse, keep=1, grace=NOW)
        transaction.commit(written, ledger("two"))
    maintain(warehouse, keep=1, grace=NOW)
    assert len(content(warehouse, "patients")) == 6


def test_a_release_outlives_expiry(warehouse: Warehouse) -> None:
    ingest(warehouse, "one")
    release = create_release(warehouse, "first")
    for i in range(3):
        ingest(warehouse, f"later-{i}")
    maintain(warehouse, keep=1, grace=NOW)
    maintain(warehouse, keep=1, grace=NOW)
    snapshot = release.snapshots["patients"]
    assert warehouse.iceberg("patients").scan(snapshot_id=snapshot).to_arrow().num_rows == 3
    assert unreferenced(warehouse) == set()


def test_a_stale_hint_is_mended(warehouse: Warehouse) -> None:
    ingest(warehouse, "one")
    location = warehouse.location("patients")
    warehouse.files.replace(version_hints.hint_location(location), b"00000-stale")
    report = {t.table: t.hint_was_stale for t in maintain(warehouse).tables}
    assert report["patients"]
    assert not report["orders"]
    current = version_hints.metadata_stem(warehouse.iceberg("patients").metadata_location)
    assert version_hints.read_stem(warehouse.files, location) == current


def test_rows_of_one_bucket_stay_in_it(tmp_path: Path) -> None:
    from dataclasses import replace

    from .cases import SETTINGS

    with Warehouse.create(tmp_path / "w", replace(SETTINGS, buckets=4)) as warehouse:
        for i in range(3):
            ingest(warehouse, f"ingest-{i}", 40)
        before = content(warehouse, "observations")
        report = {t.table: t for t in maintain(warehouse).tables}
        assert report["observations"].before.files == 12
        assert report["observations"].after.files == 4
        assert content(warehouse, "observations") == before
        one = before[0]
        names = warehouse.iceberg("observations").schema().column_names
        found = warehouse.iceberg("observations").scan(
            row_filter=f"patient_id = '{one[names.index('patient_id')]}'"
        )
        assert len(list(found.plan_files())) == 1
        assert found.to_arrow().num_rows == 3


@pytest.mark.parametrize("arguments", [{"keep": 0}, {"target_size": 0}, {"grace": -timedelta(1)}])
def test_arguments_out_of_range_are_refused(
    warehouse: Warehouse, arguments: dict[str, object]
) -> None:
    with pytest.raises(UserError):
        maintain(warehouse, **arguments)  # type: ignore[arg-type]


def test_positional_deletes_of_another_engine_are_honoured(warehouse: Warehouse) -> None:
    ingest(warehouse, "one", 6)
    warehouse.iceberg("patients").delete("record_id = 'one-00000001'")
    ingest(warehouse, "two", 1)
    before = content(warehouse, "patients")
    assert len(before) == 6
    maintain(warehouse)
    assert content(warehouse, "patients") == before
    assert isinstance(warehouse.iceberg("patients").scan().to_arrow(), pa.Table)

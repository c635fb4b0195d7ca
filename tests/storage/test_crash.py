"""A real SIGKILL at every step of a commit, then the same command again."""

from __future__ import annotations

import signal

import pytest

from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.maintenance.releases import create_release, list_releases
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.warehouse import Warehouse

from .cases import SETTINGS, content, ingest, unreferenced
from .killed import run

POINTS = [
    "files-written",
    "journal-written",
    "committed:observations",
    "committed:patients",
    "committed:ingest_files",
    "before-ledger",
    "committed:ingests",
    "before-hint",
    "hint:ingest_files",
    "before-journal-removed",
    "before-lease-removed",
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """The rows of one undisturbed ingest."""
    path = tmp_path_factory.mktemp("clean") / "warehouse"
    with Warehouse.create(path, SETTINGS) as warehouse:
        ingest(warehouse, "one")
        return {t: content(warehouse, t) for t in warehouse.tables()}


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_and_a_second_run_equal_one_clean_run(
    warehouse: Warehouse, clean: dict[str, list[tuple[object, ...]]], point: str
) -> None:
    assert run(warehouse.path, crash_at=point) == -signal.SIGKILL
    assert run(warehouse.path) == 0
    assert {t: content(warehouse, t) for t in warehouse.tables()} == clean
    assert unreferenced(warehouse) == set()
    assert warehouse.files.list(warehouse.attempts) == []
    for table in warehouse.tables():
        held = version_hints.read_stem(warehouse.files, warehouse.location(table))
        assert held == version_hints.metadata_stem(warehouse.iceberg(table).metadata_location)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["files-written", "journal-written"])
@pytest.mark.parametrize("again", ["recover-noted", "recover-swept"])
def test_a_second_kill_while_recovering_loses_nothing(
    warehouse: Warehouse, clean: dict[str, list[tuple[object, ...]]], point: str, again: str
) -> None:
    assert run(warehouse.path, crash_at=point) == -signal.SIGKILL
    assert run(warehouse.path, crash_at=again) == -signal.SIGKILL
    assert run(warehouse.path) == 0
    assert {t: content(warehouse, t) for t in warehouse.tables()} == clean
    assert unreferenced(warehouse) == set()
    assert warehouse.files.list(warehouse.attempts) == []


def test_readers_see_nothing_of_a_commit_that_died_half_way(warehouse: Warehouse) -> None:
    before = {
        t: version_hints.read_stem(warehouse.files, warehouse.location(t))
        for t in warehouse.tables()
    }
    assert run(warehouse.path, crash_at="committed:observations") == -signal.SIGKILL
    after = {
        t: version_hints.read_stem(warehouse.files, warehouse.location(t))
        for t in warehouse.tables()
    }
    assert after == before
    assert recover(warehouse) == ["one"]
    assert len(content(warehouse, "patients")) == 3


def test_a_commit_that_died_in_the_catalog_leaves_no_manifest(
    warehouse: Warehouse, clean: dict[str, list[tuple[object, ...]]]
) -> None:
    """Killed after the manifests are written and before the catalog is asked."""
    assert run(warehouse.path, crash_at="appending:observations") == -signal.SIGKILL
    assert unreferenced(warehouse) != set()
    assert run(warehouse.path) == 0
    assert {t: content(warehouse, t) for t in warehouse.tables()} == clean
    assert unreferenced(warehouse) == set()


def some_history(warehouse: Warehouse) -> dict[str, list[tuple[object, ...]]]:
    """Ingest a few times, with a release between; return the rows of all tables."""
    for name in ("a", "b", "c"):
        ingest(warehouse, name, 4)
        if name == "b":
            create_release(warehouse, "first")
    return {t: content(warehouse, t) for t in warehouse.tables()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        "maintain-written:observations",
        "replacing:observations",
        "maintain-committed:observations",
        "maintain-expired:patients",
        "maintain-noted:patients",
        "maintain-deleting",
    ],
)
def test_a_kill_while_maintaining_costs_no_row_and_leaves_no_file(
    warehouse: Warehouse, point: str
) -> None:
    before = some_history(warehouse)
    assert run(warehouse.path, "maintain", point) == -signal.SIGKILL
    assert {t: content(warehouse, t) for t in warehouse.tables()} == before
    assert run(warehouse.path, "maintain") == 0
    assert run(warehouse.path, "maintain") == 0
    assert {t: content(warehouse, t) for t in warehouse.tables()} == before
    assert unreferenced(warehouse) == set()
    assert warehouse.files.list(warehouse.attempts) == []
    assert [t.after.files for t in maintain(warehouse).tables if t.before.rows] == [1] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        "erase-written:observations",
        "erasing:observations",
        "erase-committed:observations",
        "maintain-deleting",
        "erase-before-releases",
    ],
)
def test_a_kill_while_erasing_is_made_good_by_the_next_run(
    warehouse: Warehouse, point: str
) -> None:
    some_history(warehouse)
    assert run(warehouse.path, "erase", point) == -signal.SIGKILL
    assert run(warehouse.path, "erase") == 0
    for table in ("patients", "observations"):
        assert len(content(warehouse, table)) == 9
    assert unreferenced(warehouse) == set()
    assert warehouse.files.list(warehouse.attempts) == []
    (release,) = list_releases(warehouse)
    assert release.rows["patients"] == 6
    for table, snapshot in release.snapshots.items():
        held = warehouse.iceberg(table)
        assert snapshot is None or held.metadata.refs["first"].snapshot_id == snapshot


@pytest.mark.parametrize("point", ["release-recorded", "release-tagged:observations"])
def test_a_kill_while_releasing_is_completed(warehouse: Warehouse, point: str) -> None:
    ingest(warehouse, "a")
    assert run(warehouse.path, "release", point) == -signal.SIGKILL
    ingest(warehouse, "b")
    recover(warehouse)
    (release,) = list_releases(warehouse)
    for table in ("patients", "observations", "ingests"):
        refs = warehouse.iceberg(table).metadata.refs
        assert refs["first"].snapshot_id == release.snapshots[table]
    assert release.rows["patients"] == 3
    assert unreferenced(warehouse) == set()

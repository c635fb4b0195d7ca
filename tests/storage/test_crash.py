"""A real SIGKILL at every step of a commit, then the same command again."""

from __future__ import annotations

import multiprocessing
import runpy
import signal
from pathlib import Path

import pytest

from lakehouse.storage import Warehouse, hints, recover

from .cases import SETTINGS, content, ingest, unreferenced

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


# Processes forked from a server that has the imports: each starts in milliseconds, dies for real.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["lakehouse.storage.commit", "pyiceberg.catalog.sql"])


def run(path: Path, crash_at: str = "") -> int | None:
    """Ingest in a process of its own, killed at a point; return its exit code."""
    script = str(Path(__file__).with_name("killed.py"))
    given = {"path": str(path), "crash_at": crash_at}
    process = CONTEXT.Process(target=runpy.run_path, args=(script, given))
    process.start()
    process.join(120)
    return process.exitcode


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
    path = Path(warehouse.path)
    assert run(path, point) == -signal.SIGKILL
    assert run(path) == 0
    assert {t: content(warehouse, t) for t in warehouse.tables()} == clean
    assert unreferenced(warehouse) == set()
    assert warehouse.files.list(warehouse.attempts) == []
    for table in warehouse.tables():
        held = hints.current(warehouse.files, warehouse.location(table))
        assert held == hints.stem(warehouse.iceberg(table).metadata_location)


@pytest.mark.parametrize("point", ["files-written", "journal-written"])
@pytest.mark.parametrize("again", ["recover-noted", "recover-swept"])
def test_a_second_kill_while_recovering_loses_nothing(
    warehouse: Warehouse, clean: dict[str, list[tuple[object, ...]]], point: str, again: str
) -> None:
    path = Path(warehouse.path)
    assert run(path, point) == -signal.SIGKILL
    assert run(path, again) == -signal.SIGKILL
    assert run(path) == 0
    assert {t: content(warehouse, t) for t in warehouse.tables()} == clean
    assert unreferenced(warehouse) == set()
    assert warehouse.files.list(warehouse.attempts) == []


def test_readers_see_nothing_of_a_commit_that_died_half_way(warehouse: Warehouse) -> None:
    before = {t: hints.current(warehouse.files, warehouse.location(t)) for t in warehouse.tables()}
    assert run(Path(warehouse.path), "committed:observations") == -signal.SIGKILL
    after = {t: hints.current(warehouse.files, warehouse.location(t)) for t in warehouse.tables()}
    assert after == before
    assert recover(warehouse) == ["one"]
    assert len(content(warehouse, "patients")) == 3


def test_a_commit_that_died_in_the_catalog_leaves_no_manifest(
    warehouse: Warehouse, clean: dict[str, list[tuple[object, ...]]]
) -> None:
    """Killed after the manifests are written and before the catalog is asked."""
    path = Path(warehouse.path)
    assert run(path, "appending:observations") == -signal.SIGKILL
    assert unreferenced(warehouse) != set()
    assert run(path) == 0
    assert {t: content(warehouse, t) for t in warehouse.tables()} == clean
    assert unreferenced(warehouse) == set()

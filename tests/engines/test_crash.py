"""A real SIGKILL at each step of a real command, then the same command again: as if once, clean."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lakehouse
from lakehouse.cli import run
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.command import ingest, leftovers, start, start_command, without_runs

Rows = Callable[[Warehouse], dict[str, list[Any]]]
New = Callable[..., Warehouse]

POINTS = [
    "parsing",
    "writing:observations",
    "files-written",
    "journal-written",
    "committed:observations",
    "committed:records",
    "committed:rejects",
    "committed:ingest_files",
    "before-ledger",
    "committed:ingests",
    "before-hint",
]
IN_WORKERS = {"parsing", "writing:observations"}
"""Steps that a worker of Ray does, which Ray starts again when it dies."""

DRIVEN = [point for point in POINTS if point not in IN_WORKERS]


def write_feed(folder: Path) -> Path:
    """Write files with rows, rejects and an unreadable one."""
    folder.mkdir()
    for number in range(6):
        body = "\n".join(f"DOE-{number};2024-05-0{i + 1};{i}" for i in range(7))
        (folder / f"{number}.lines").write_text(f"LINES\n{body}\nbad\n")
    (folder / "crash.lines").write_text("LINES\nDOE-1;2024-05-01;1\ncrash\n")
    return folder


@pytest.fixture
def feed(tmp_path: Path, plugin: ModuleType) -> Iterator[Path]:
    yield write_feed(tmp_path / "feed")


_clean: dict[str, list[Any]] = {}


@pytest.fixture
def clean(feed: Path, new_warehouse: New, rows_of: Rows) -> dict[str, list[Any]]:
    """The rows of one undisturbed ingest; the feed is always the same, so one is enough."""
    if not _clean:
        warehouse = new_warehouse("clean")
        lakehouse.ingest(feed, warehouse, engine="local")
        _clean.update(rows_of(warehouse))
    return _clean


def check_second_run(
    warehouse: Warehouse, feed: Path, clean: dict[str, list[Any]], rows_of: Rows, *options: str
) -> None:
    """In this process, where Ray has its connection already."""
    arguments = ["ingest", str(feed), "--warehouse", warehouse.path, *options]
    assert run(arguments) == 0
    rows = rows_of(warehouse)
    assert without_runs(rows) == without_runs(clean)
    assert len(rows["ingests"]) == 1
    assert leftovers(warehouse) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_and_the_same_command_again(
    point: str, feed: Path, clean: dict[str, list[Any]], new_warehouse: New, rows_of: Rows
) -> None:
    warehouse = new_warehouse()
    code, said = ingest(warehouse, feed, "--engine", "local", LAKEHOUSE_CRASH_AT=point)
    assert code == -signal.SIGKILL, said
    check_second_run(warehouse, feed, clean, rows_of)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("point", DRIVEN)
def test_a_kill_of_the_driver_of_ray_and_the_same_command_again(
    point: str,
    feed: Path,
    clean: dict[str, list[Any]],
    new_warehouse: New,
    rows_of: Rows,
    cluster: str,
) -> None:
    warehouse = new_warehouse()
    options = ("--engine", "ray", "--address", cluster)
    code, said = ingest(warehouse, feed, *options, LAKEHOUSE_CRASH_AT=point)
    assert code == -signal.SIGKILL, said
    check_second_run(warehouse, feed, clean, rows_of, "--engine", "ray")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("point", sorted(IN_WORKERS))
def test_a_kill_of_a_worker_of_ray_and_then_of_its_driver(
    point: str,
    feed: Path,
    clean: dict[str, list[Any]],
    new_warehouse: New,
    rows_of: Rows,
    tmp_path: Path,
) -> None:
    warehouse = new_warehouse()
    mark = tmp_path / "a-worker-died"
    process = start(
        warehouse,
        feed,
        "--engine",
        "ray",
        LINES_SECONDS_PER_RECORD="0.3" if point == "parsing" else "0",
        LAKEHOUSE_CRASH_AT=point,
        LAKEHOUSE_CRASH_ONCE=str(mark),
    )
    end = time.monotonic() + 120
    while not mark.exists() and process.is_running() and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)  # while Ray starts the task of the dead worker again
    code, said = process.finish()
    assert mark.exists(), said
    assert code == -signal.SIGKILL, said
    assert rows_of(warehouse)["ingests"] == []
    check_second_run(warehouse, feed, clean, rows_of)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("point", sorted(IN_WORKERS))
def test_a_worker_of_ray_that_dies_costs_nothing(
    point: str,
    feed: Path,
    clean: dict[str, list[Any]],
    new_warehouse: New,
    rows_of: Rows,
    tmp_path: Path,
) -> None:
    warehouse = new_warehouse()
    mark = tmp_path / "a-worker-died"
    code, said = ingest(
        warehouse,
        feed,
        "--engine",
        "ray",
        LAKEHOUSE_CRASH_AT=point,
        LAKEHOUSE_CRASH_ONCE=str(mark),
    )
    assert code == 0, said
    assert mark.exists()
    rows = rows_of(warehouse)
    assert without_runs(rows) == without_runs(clean)
    assert len(rows["ingests"]) == 1
    assert leftovers(warehouse) == []


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_kill_of_maintenance_over_what_either_engine_wrote(
    engine: str,
    feed: Path,
    clean: dict[str, list[Any]],
    new_warehouse: New,
    rows_of: Rows,
    request: pytest.FixtureRequest,
) -> None:
    if engine == "ray":
        request.getfixturevalue("cluster")
    warehouse = new_warehouse()
    for part in sorted(feed.iterdir())[:3]:  # several files a table, so that there is work to do
        lakehouse.ingest(part, warehouse, engine="local")
    lakehouse.ingest(feed, warehouse, engine=engine)
    before = rows_of(warehouse)
    assert without_runs(before) == without_runs(clean)
    maintain = ("maintain", "--keep", "1", "--grace", "0", "--warehouse", warehouse.path)
    for point in ("maintain-written:observations", "maintain-committed:records"):
        code, said = start_command(*maintain, LAKEHOUSE_CRASH_AT=point).finish()
        assert code == -signal.SIGKILL, said
        assert rows_of(warehouse) == before
    for _ in range(2):  # what the first one frees, the second one deletes
        code, said = start_command(*maintain).finish()
        assert code == 0, said
    assert rows_of(warehouse) == before
    assert leftovers(warehouse) == []
    lakehouse.ingest(feed, warehouse, engine=engine)
    assert rows_of(warehouse) == before


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_visible(
    feed: Path, clean: dict[str, list[Any]], new_warehouse: New, rows_of: Rows
) -> None:
    warehouse = new_warehouse()
    empty = rows_of(warehouse)
    process = start(warehouse, feed, "--engine", "local", LINES_SECONDS_PER_RECORD="0.5")
    end = time.monotonic() + 60
    while not warehouse.files.list(warehouse.attempts) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    code, said = process.finish()
    assert code == 130, said
    assert said.strip().splitlines() == ["lakehouse: interrupted"]
    assert rows_of(warehouse) == empty
    assert leftovers(warehouse) == []
    check_second_run(warehouse, feed, clean, rows_of)

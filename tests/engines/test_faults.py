"""What the world does to an ingest: two at once, a full disk, a folder that may not be written."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lakehouse
from lakehouse.errors import CommitError, LakehouseError
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.storage.metadata.settings import Settings
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.command import MAIN, ingest, leftovers, start, without_runs

Rows = Callable[[Warehouse], dict[str, list[Any]]]
New = Callable[..., Warehouse]


def write_feed(folder: Path, first: int, count: int, records: int = 20) -> Path:
    folder.mkdir()
    for number in range(first, first + count):
        body = "\n".join(f"DOE-{number}-{i};2024-05-0{i % 9 + 1};{i}" for i in range(records))
        (folder / f"{number}.lines").write_text(f"LINES\n{body}\n")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_two_ingests_at_once_both_land(
    engine: str, tmp_path: Path, new_warehouse: New, rows_of: Rows, plugin: ModuleType
) -> None:
    one, two = write_feed(tmp_path / "one", 0, 12), write_feed(tmp_path / "two", 8, 12)
    warehouse, clean = new_warehouse(), new_warehouse("clean")
    # files 8 to 11 are in both: one of the two takes them
    options = ("--engine", engine)
    slowly = {"LINES_SECONDS_PER_RECORD": "0.01"}
    both = [start(warehouse, feed, *options, **slowly) for feed in (one, two)]
    for process in both:
        code, said = process.finish()
        assert code == 0, said
    for feed in (one, two):
        lakehouse.ingest(feed, clean)
    assert without_runs(rows_of(warehouse)) == without_runs(rows_of(clean))
    assert len(rows_of(warehouse)["records"]) == 400
    assert leftovers(warehouse) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB; the test skips where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes the rights of root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def make(path: Path, secret: Secret) -> Warehouse:
    policy = load_policy("safe_harbor")
    return Warehouse.create(path, Settings("safe_harbor", secret.key_id, policy.sha256))


@pytest.mark.parametrize("room", [0, 60_000, 200_000, 400_000])
def test_a_full_disk_changes_nothing_and_the_next_run_completes(
    room: int,
    small_disk: Path,
    tmp_path: Path,
    secret: Secret,
    rows_of: Rows,
    plugin: ModuleType,
) -> None:
    feed = write_feed(tmp_path / "feed", 0, 3, records=3000)
    with make(small_disk / "warehouse", secret) as warehouse:
        empty = rows_of(warehouse)
        filler = small_disk / "filler"
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        filler.write_bytes(bytes(max(free - room, 0)))
        try:
            report = lakehouse.ingest(feed, warehouse)
        except LakehouseError as error:
            assert isinstance(error, CommitError)
            assert error.exit_code == 1
            assert error.remedy
            assert "DOE" not in str(error)
            seen = rows_of(warehouse)
            assert seen["ingests"] == []
            if room == 0:
                assert seen == empty
        else:
            assert report.rows["records"] == 9000
        filler.unlink()
        again = lakehouse.ingest(feed, warehouse)
        assert again.rows.get("records") == 9000 or again.ingest_id is None
        assert len(rows_of(warehouse)["records"]) == 9000
        assert len(rows_of(warehouse)["ingests"]) == 1
        assert leftovers(warehouse) == []


def test_a_folder_that_may_not_be_written_is_a_clear_error(
    tmp_path: Path, new_warehouse: New, rows_of: Rows, read_only: Any, plugin: ModuleType
) -> None:
    feed = write_feed(tmp_path / "feed", 0, 2)
    warehouse = new_warehouse()
    with read_only(Path(warehouse.path)):
        code, said = ingest(warehouse, feed)
    assert code in (1, 2)
    assert len(said.strip().splitlines()) == 1, said
    assert "unexpected" not in said
    assert "DOE" not in said
    code, said = ingest(warehouse, feed)
    assert code == 0, said
    assert len(rows_of(warehouse)["records"]) == 40


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_folder_that_workers_may_not_write_is_a_clear_error(
    tmp_path: Path, new_warehouse: New, rows_of: Rows, read_only: Any, plugin: ModuleType
) -> None:
    feed = write_feed(tmp_path / "feed", 0, 2)
    warehouse = new_warehouse()
    empty = rows_of(warehouse)
    folder = Path(warehouse.location("observations"))
    with read_only(folder), pytest.raises(CommitError, match="cannot be written") as caught:
        lakehouse.ingest(feed, warehouse, engine="ray")
    assert "DOE" not in str(caught.value)
    assert rows_of(warehouse) == empty
    assert leftovers(warehouse) == []
    lakehouse.ingest(feed, warehouse, engine="ray")
    assert len(rows_of(warehouse)["records"]) == 40
    assert leftovers(warehouse) == []


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("room", [0, 60_000])
def test_a_full_disk_under_ray(
    room: int,
    small_disk: Path,
    tmp_path: Path,
    secret: Secret,
    rows_of: Rows,
    plugin: ModuleType,
) -> None:
    feed = write_feed(tmp_path / "feed", 0, 3, records=3000)
    with make(small_disk / "warehouse", secret) as warehouse:
        filler = small_disk / "filler"
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        filler.write_bytes(bytes(max(free - room, 0)))
        with pytest.raises(CommitError) as caught:
            lakehouse.ingest(feed, warehouse, engine="ray")
        assert "DOE" not in str(caught.value)
        filler.unlink()
        lakehouse.ingest(feed, warehouse, engine="ray")
        assert len(rows_of(warehouse)["records"]) == 9000
        assert leftovers(warehouse) == []


def test_a_person_at_a_terminal_sees_how_far_it_is(
    tmp_path: Path, new_warehouse: New, plugin: ModuleType
) -> None:
    feed = write_feed(tmp_path / "feed", 0, 3)
    warehouse = new_warehouse()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "ingest", str(feed), "--warehouse", warehouse.path],
        env={**os.environ, "LINES_SECONDS_PER_RECORD": "0.02", "COLUMNS": "150", "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the terminal's other end is closed
            break
        seen += part
    process.communicate()
    os.close(ours)
    assert process.returncode == 0
    for word in (b"3 files", b"records", b"MB/s", b"rejects"):
        assert word in seen
    assert b"DOE" not in seen


def test_nothing_is_drawn_where_nobody_looks(
    tmp_path: Path, new_warehouse: New, plugin: ModuleType
) -> None:
    feed = write_feed(tmp_path / "feed", 0, 3)
    code, said = ingest(new_warehouse(), feed)
    assert code == 0
    assert "MB/s" not in said.split("Ingested")[0]
    assert "\x1b" not in said

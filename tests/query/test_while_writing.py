"""Questions asked while another process writes: each is answered, and no count goes back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lakehouse
from lakehouse.privacy.keys.secret import Secret
from lakehouse.query.connection.location import locate
from lakehouse.query.connection.shell_database import prepare, shell_command
from lakehouse.synth import tutorial

INGESTS = 15

WRITER = """\
import sys
from pathlib import Path
import lakehouse
feeds, warehouse = sys.argv[1:]
for feed in sorted(Path(feeds).iterdir()):
    lakehouse.ingest(feed, warehouse, engine="local", show_progress=False)
    print(feed.name, flush=True)
"""

COUNT = "SELECT count(*) AS n FROM records"
JOINED = "SELECT count(*) AS n FROM patients_current JOIN records USING (patient_id)"


@pytest.fixture
def written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Callable[[], bool]]]:
    """A warehouse of 30 records into which another process goes on writing, and whether it does."""
    Secret.create(tmp_path / "key")
    monkeypatch.setenv("LAKEHOUSE_KEY_FILE", str(tmp_path / "key"))
    warehouse = tmp_path / "warehouse"
    lakehouse.init(warehouse)
    tutorial.write(tmp_path / "feeds", messages=30 * (INGESTS + 1), per_file=30)
    first = min((tmp_path / "feeds").iterdir())
    lakehouse.ingest(first, warehouse, engine="local", show_progress=False)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "feeds"), str(warehouse)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline().strip() == first.name, "it has begun: that one is known"
    yield warehouse, lambda: writer.poll() is None
    assert writer.wait(300) == 0
    writer.stdout.close()


@pytest.mark.slow
def test_sql_time_travel_and_an_open_shell_see_a_growing_warehouse(
    written_to: tuple[Path, Callable[[], bool]],
) -> None:
    warehouse, writing = written_to
    with lakehouse.open(warehouse) as lake:
        first = lake.snapshots("records").column("snapshot_id")[0].as_py()
    shell = subprocess.Popen(
        [*shell_command(prepare(locate(warehouse), warehouse / "shell")), "-csv", "-noheader"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def by_shell() -> int:
        assert shell.stdin is not None and shell.stdout is not None
        shell.stdin.write(f"{COUNT};\n")
        shell.stdin.flush()
        return int(shell.stdout.readline())

    def opened_anew(query: str, as_of: int | None = None) -> int:
        with lakehouse.open(warehouse, as_of=as_of) as fresh:
            return count(fresh, query)

    def count(lake: lakehouse.Lakehouse, query: str) -> int:
        ((n,),) = lake.sql(query).fetchall()
        return int(n)

    with lakehouse.open(warehouse) as open_all_along, shell:
        ways: list[Callable[[], int]] = [
            lambda: count(open_all_along, COUNT),
            lambda: count(open_all_along, JOINED),
            lambda: opened_anew(COUNT),
            by_shell,
        ]
        seen: list[list[int]] = [[] for _ in ways]
        going = True
        while going:
            going = writing()  # the last round is after the end
            for way, counts in zip(ways, seen, strict=True):
                counts.append(way())
            assert opened_anew(COUNT, first) == 30
        assert shell.stdin is not None
        shell.stdin.close()
    for counts in seen:
        assert counts == sorted(counts), "nothing that was there is gone"
        assert len(set(counts)) > 2, "they did overlap"
        assert counts[-1] == 30 * (INGESTS + 1)
        assert all(n % 30 == 0 for n in counts), "whole ingests only"

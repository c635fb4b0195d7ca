"""An object store, a PostgreSQL catalog, a second SQL catalog: every promise as on a disk.

Real commands in processes of their own, real HL7 files, a real SIGKILL.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from lakehouse.privacy.keys.secret import Secret
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.command import ingest, leftovers, start, start_command, without_runs
from tests.helpers.hl7v2 import GLUCOSE, SODIUM, lab_message

pytestmark = pytest.mark.slow

Rows = Callable[[Warehouse], dict[str, list[Any]]]

QUESTIONS = (
    "SELECT count(*), sum(value_number) FROM observations",
    "SELECT analyte, count(*), avg(value) FROM lab_results GROUP BY analyte ORDER BY analyte",
    "SELECT count(*), count(DISTINCT patient_id) FROM patients_current",
    "SELECT rule, count(*) FROM rejects GROUP BY rule ORDER BY rule",
)


def message(number: int, file: str) -> str:
    results = [(GLUCOSE, number + 80), (SODIUM, number + 120)]
    return lab_message(number, f"{file}-{number}", results)


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """Four files of five messages, and one with a fault."""
    folder = tmp_path / "feed"
    folder.mkdir()
    for file in range(4):
        text = "".join(message(file * 3 + n, str(file)) for n in range(5))
        (folder / f"{file}.hl7").write_text(text, newline="")
    (folder / "fault.hl7").write_text(message(99, "f") + "MSH|^~\\&|LAB\r", newline="")
    return folder


@pytest.fixture
def made(somewhere: Any, secret: Secret) -> Iterator[Warehouse]:
    """An empty warehouse there."""
    lakehouse.init(somewhere.path, catalog=somewhere.catalog)
    with Warehouse.open(somewhere.path) as warehouse:
        yield warehouse


@dataclass(frozen=True)
class Clean:
    """What one undisturbed ingest on a disk gives: rows by table, and answers."""

    rows: dict[str, list[Any]]
    answers: list[Any]


_clean: list[Clean] = []


@pytest.fixture
def clean(feed: Path, new_warehouse: Callable[..., Warehouse], rows_of: Rows) -> Clean:
    """The same feed on a disk; it is always the same, so one is enough."""
    if not _clean:
        warehouse = new_warehouse("clean")
        lakehouse.ingest(feed, warehouse, engine="local")
        _clean.append(Clean(rows_of(warehouse), answers(warehouse.path)))
    return _clean[0]


def command(*arguments: str) -> str:
    """Run a command to its good end; return what it said."""
    code, said = start_command(*arguments).finish()
    assert code == 0, said
    return said


def answers(path: str) -> list[Any]:
    with lakehouse.open(path) as lake:
        return [lake.sql(question).fetchall() for question in QUESTIONS]


def check(made: Warehouse, clean: Clean, rows_of: Rows) -> None:
    """The rows of one clean run, no orphan, and the same answers to SQL over tables and views."""
    rows = rows_of(made)
    assert without_runs(rows) == without_runs(clean.rows)
    assert len(rows["ingests"]) == 1
    assert len(rows["observations"]) == 2 * 21
    assert rows["rejects"]
    assert leftovers(made) == []
    assert answers(made.path) == clean.answers


def test_an_ingest_and_the_same_again(
    feed: Path, somewhere: Any, secret: Secret, clean: Clean, rows_of: Rows
) -> None:
    command("init", somewhere.path, "--catalog", somewhere.catalog)
    with Warehouse.open(somewhere.path) as made:
        for _ in range(2):
            code, said = ingest(made, feed)
            assert code == 0, said
            check(made, clean, rows_of)


@pytest.mark.ray
@pytest.mark.parametrize("somewhere", ["s3"], indirect=True)
def test_workers_of_ray_write_into_an_object_store(
    feed: Path, made: Warehouse, clean: Clean, rows_of: Rows
) -> None:
    code, said = ingest(made, feed, "--engine", "ray", LAKEHOUSE_CRASH_AT="committed:observations")
    assert code == -signal.SIGKILL, said
    code, said = ingest(made, feed, "--engine", "ray")
    assert code == 0, said
    check(made, clean, rows_of)


@pytest.mark.parametrize(
    "point",
    [
        "parsing",
        "writing:observations",
        "files-written",
        "journal-written",
        "committed:observations",
        "before-ledger",
        "before-hint",
    ],
)
def test_a_kill_and_the_same_command_again(
    point: str, feed: Path, made: Warehouse, clean: Clean, rows_of: Rows
) -> None:
    code, said = ingest(made, feed, LAKEHOUSE_CRASH_AT=point)
    assert code == -signal.SIGKILL, said
    code, said = ingest(made, feed)
    assert code == 0, said
    check(made, clean, rows_of)


def test_two_ingests_at_once_store_each_file_once(
    feed: Path, made: Warehouse, clean: Clean, rows_of: Rows
) -> None:
    both = [start(made, feed), start(made, feed / "*.hl7")]
    for process in both:
        code, said = process.finish()
        assert code == 0, said
    code, said = ingest(made, feed)  # nothing is left for a third
    assert code == 0, said
    assert without_runs(rows_of(made)) == without_runs(clean.rows)
    assert leftovers(made) == []
    assert answers(made.path) == clean.answers


def test_releases_maintenance_erasure_and_verification(
    feed: Path, made: Warehouse, rows_of: Rows
) -> None:
    here = ("--warehouse", made.path)
    for file in sorted(feed.glob("?.hl7")):
        command("ingest", str(file), *here)
        if file.stem == "1":
            command("release", "half", *here)
    count = "SELECT count(*), count(DISTINCT patient_id) FROM observations"

    def counted(as_of: str | None = None) -> tuple[int, int]:
        with lakehouse.open(made.path, as_of=as_of) as lake:
            (row,) = lake.sql(count).fetchall()
        return row

    assert (counted(), counted("half")) == ((40, 14), (20, 8))
    before = rows_of(made)
    for _ in range(2):
        command("maintain", "--keep", "1", "--grace", "0", *here)
    assert rows_of(made) == before
    assert leftovers(made) == []
    assert (counted(), counted("half")) == ((40, 14), (20, 8))

    command("forget", "--record-number", "4", "--authority", "GENERAL", "--yes", *here)
    assert (counted(), counted("half")) == ((36, 13), (16, 7))
    command("ingest", str(feed / "1.hl7"), *here)
    assert counted() == (36, 13)
    assert leftovers(made) == []
    command("verify", *here)

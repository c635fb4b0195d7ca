"""The real command in a process of its own, and what a test asks of the warehouse afterwards."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from lakehouse.storage.commits.references import referenced_files
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.processes import fork, set_environment

MAIN = "import sys; from lakehouse.cli import run; sys.exit(run(sys.argv[1:]))"
"""The command for a fresh interpreter, where that is the subject."""


class Command:
    """``lakehouse`` in a process of its own, and all that it says."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        handle, said = tempfile.mkstemp()
        os.close(handle)
        self._said = Path(said)
        self._process = fork(_run, arguments, os.environ | environment, said)

    def is_running(self) -> bool:
        """Return whether it has not ended yet."""
        return self._process.is_alive()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.is_alive():
            os.kill(self._process.pid or 0, number)

    def finish(self, seconds: float = 240) -> tuple[int, str]:
        """Wait for its end; return its exit code and all that it said."""
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise TimeoutError(f"The command ran for more than {seconds} s.")
        said = self._said.read_text()
        self._said.unlink()
        return code, said


def _run(arguments: tuple[str, ...], environment: dict[str, str], said: str) -> None:
    set_environment(environment)
    out = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    from lakehouse.cli import run

    sys.exit(run(list(arguments)))


def start_command(*arguments: str, **environment: str) -> Command:
    """Start ``lakehouse``; the environment names the key and the plugin's folder."""
    return Command(arguments, environment)


def start(warehouse: Warehouse, feed: Path, *options: str, **environment: str) -> Command:
    """Start ``lakehouse ingest``."""
    arguments = ("ingest", str(feed), "--warehouse", warehouse.path, *options)
    return start_command(*arguments, **environment)


def ingest(warehouse: Warehouse, feed: Path, *options: str, **environment: str) -> tuple[int, str]:
    """Run ``lakehouse ingest`` to its end."""
    return start(warehouse, feed, *options, **environment).finish()


def leftovers(warehouse: Warehouse) -> list[str]:
    """Return what lies in the warehouse and belongs to nothing: files, leases, journals."""
    stray: set[str] = set()
    for name in warehouse.tables():
        table = warehouse.iceberg(name)
        stray |= {e.location for e in warehouse.files.list(table.location())}
        stray -= referenced_files(table).all()
    stray |= {e.location for e in warehouse.files.list(warehouse.attempts)}
    return sorted(stray)


def without_runs(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the rows of all tables but the one that counts runs."""
    return {name: of for name, of in rows.items() if name != "ingests"}

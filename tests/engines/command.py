"""The real command in a process of its own, and what a test asks of the warehouse afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lakehouse.storage.commits.references import references
from lakehouse.storage.warehouse import Warehouse

MAIN = "import sys; from lakehouse.cli import run; sys.exit(run(sys.argv[1:]))"


def start_command(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``lakehouse``; the environment names the key and the plugin's folder."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start(
    warehouse: Warehouse, feed: Path, *options: str, **environment: str
) -> subprocess.Popen[str]:
    """Start ``lakehouse ingest``."""
    arguments = ("ingest", str(feed), "--warehouse", warehouse.path, *options)
    return start_command(*arguments, **environment)


def finish(process: subprocess.Popen[str], seconds: float = 240) -> tuple[int, str]:
    """Wait for a command; return its exit code and all that it said."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out + err


def ingest(warehouse: Warehouse, feed: Path, *options: str, **environment: str) -> tuple[int, str]:
    """Run ``lakehouse ingest`` to its end."""
    return finish(start(warehouse, feed, *options, **environment))


def leftovers(warehouse: Warehouse) -> list[str]:
    """Return what lies in the warehouse and belongs to nothing: files, leases, journals."""
    stray: set[str] = set()
    for name in warehouse.tables():
        table = warehouse.iceberg(name)
        stray |= {e.location for e in warehouse.files.list(table.location())}
        stray -= references(table).all()
    stray |= {e.location for e in warehouse.files.list(warehouse.attempts)}
    return sorted(stray)


def without_runs(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the rows of all tables but the one that counts runs."""
    return {name: of for name, of in rows.items() if name != "ingests"}

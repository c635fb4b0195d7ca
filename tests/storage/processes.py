"""Processes that die for real: forked from a server that has the imports, in milliseconds."""

from __future__ import annotations

import multiprocessing
import runpy
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [f"lakehouse.storage.maintenance.{m}" for m in ("maintain", "row_erasure", "releases")]
    + ["pyiceberg.catalog.sql", "pyiceberg_core"]
)


def start(
    path: str, command: str = "ingest", crash_at: str = "", environment: Mapping[str, str] = {}
) -> BaseProcess:
    """Start a command of ``killed.py`` on a warehouse; it dies at a point, if one is named."""
    given = {
        "path": path,
        "command": command,
        "crash_at": crash_at,
        "environment": dict(environment),
    }
    script = str(Path(__file__).with_name("killed.py"))
    process = CONTEXT.Process(target=runpy.run_path, args=(script, given))
    process.start()
    return process


def run(
    path: str, command: str = "ingest", crash_at: str = "", environment: Mapping[str, str] = {}
) -> int | None:
    """Run a command to its end; return its exit code."""
    process = start(path, command, crash_at, environment)
    process.join(300)
    return process.exitcode

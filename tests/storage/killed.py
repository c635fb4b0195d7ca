"""What the crash tests run in a process of its own."""

from __future__ import annotations

import os
from datetime import timedelta
from multiprocessing.process import BaseProcess

from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.maintenance.releases import create_release, list_releases
from lakehouse.storage.maintenance.row_erasure import erase_rows
from lakehouse.storage.transactions.ledger import known_files
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.processes import fork, set_environment

from .cases import ingest, ledger, patient, rows


def start(path: str, command: str = "ingest", crash_at: str = "") -> BaseProcess:
    """Start a command on a warehouse; it dies at a point, if one is named."""
    return fork(_main, path, command, os.environ | {"LAKEHOUSE_CRASH_AT": crash_at})


def run(path: str, command: str = "ingest", crash_at: str = "") -> int | None:
    """Run a command to its end; return its exit code."""
    process = start(path, command, crash_at)
    process.join(300)
    return process.exitcode


def _main(path: str, command: str, environment: dict[str, str]) -> None:
    """Do what the command of that name does."""
    set_environment(environment)
    with Warehouse.open(path) as warehouse:
        if command == "ingest":
            recover(warehouse)
            if not known_files(warehouse, ["file-of-one"]):
                ingest(warehouse, "one")
        elif command.startswith("many:"):
            for i in range(4):
                recover(warehouse)
                ingest(warehouse, f"{command[5:]}-{i}")
        elif command == "claim":
            with IngestTransaction(warehouse, f"{os.getpid()}") as transaction:
                if transaction.claim(["the-file"]):
                    spec = warehouse.write_spec()
                    written = write_tables(spec, rows("one"), transaction.attempt, 0)
                    transaction.commit(written, ledger(transaction.ingest_id, ["the-file"]))
        elif command == "maintain":
            maintain(warehouse, keep=1, grace=timedelta())
        elif command == "maintain-beside-readers":
            for _ in range(4):
                maintain(warehouse, keep=1)
        elif command == "erase":
            erase_rows(warehouse, {"patient_id": [patient(1)]})
        elif command == "release":
            recover(warehouse)
            if not list_releases(warehouse):
                create_release(warehouse, "first")

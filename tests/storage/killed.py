"""What the crash tests run in a process of its own, by ``runpy``."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

os.environ.update(environment)  # noqa: F821
sys.path.insert(0, str(Path(__file__).parent))

import pyiceberg.catalog
from cases import ingest, ledger, patient, rows
from pyiceberg.utils.config import Config

from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.maintenance.releases import create_release, list_releases
from lakehouse.storage.maintenance.row_erasure import erase
from lakehouse.storage.transactions.ledger import known_files
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

# Read when it was imported, before the environment was set.
pyiceberg.catalog._ENV_CONFIG = Config()


def main(path: str, command: str, crash_at: str) -> None:
    """Do what the command of that name does."""
    os.environ["LAKEHOUSE_CRASH_AT"] = crash_at
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
            erase(warehouse, {"patient_id": [patient(1)]})
        elif command == "release":
            recover(warehouse)
            if not list_releases(warehouse):
                create_release(warehouse, "first")


main(path, command, crash_at)  # noqa: F821

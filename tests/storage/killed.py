"""What the crash tests run in a process of its own, by ``runpy``."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cases import ingest, patient

from lakehouse.storage import Warehouse, known_files, recover
from lakehouse.storage.erasure import erase
from lakehouse.storage.maintenance import maintain
from lakehouse.storage.releases import create_release, list_releases


def main(path: str, command: str, crash_at: str) -> None:
    """Do what the command of that name does."""
    if crash_at:
        os.environ["LAKEHOUSE_CRASH_AT"] = crash_at
    with Warehouse.open(path) as warehouse:
        if command == "ingest":
            recover(warehouse)
            if not known_files(warehouse, ["file-of-one"]):
                ingest(warehouse, "one")
        elif command == "maintain":
            maintain(warehouse, keep=1, grace=timedelta())
        elif command == "erase":
            erase(warehouse, {"patient_id": [patient(1)]})
        elif command == "release":
            recover(warehouse)
            if not list_releases(warehouse):
                create_release(warehouse, "first")


main(path, command, crash_at)  # noqa: F821

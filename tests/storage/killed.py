"""What the crash tests run in a process of its own, by ``runpy``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cases import ingest

from lakehouse.storage import Warehouse, known_files, recover


def main(path: str, crash_at: str) -> None:
    """Do what the ingest command does: recover, drop what is known, ingest the rest."""
    if crash_at:
        os.environ["LAKEHOUSE_CRASH_AT"] = crash_at
    with Warehouse.open(path) as warehouse:
        recover(warehouse)
        if not known_files(warehouse, ["file-of-one"]):
            ingest(warehouse, "one")


main(path, crash_at)  # noqa: F821

"""What is dear to make and only read is made once a run, whichever worker comes first."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock


def once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]
) -> tuple[Path, Any]:
    """Return a folder of the run that a function filled, and what it returned (as JSON)."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # a worker's own folder lies in that of the run
    folder, returned = base / name, base / f"{name}.json"
    with FileLock(base / f"{name}.lock"):
        if not returned.exists():
            folder.mkdir()
            returned.write_text(json.dumps(make(folder)))
        return folder, json.loads(returned.read_text())

"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public sample files; the test skips, and says so, where it is absent."""
    default = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("LAKEHOUSE_SAMPLE_DATA", default))
    if not folder.is_dir():
        pytest.skip("sample data not found: set LAKEHOUSE_SAMPLE_DATA to its folder")
    return folder

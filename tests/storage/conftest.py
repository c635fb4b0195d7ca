"""A real warehouse with its SQLite catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.storage.warehouse import Warehouse
from tests.helpers.warehouses import create_warehouse

from .cases import SETTINGS


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse."""
    with create_warehouse(tmp_path / "warehouse", SETTINGS) as made:
        yield made

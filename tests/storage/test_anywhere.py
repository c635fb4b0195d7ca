"""Storage in an object store, with a PostgreSQL catalog, with a second SQL catalog.

The whole product there (ingest, kills, queries, upkeep) is in ``tests/test_anywhere.py``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse.errors import WarehouseError
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.transactions.ledger import known_files
from lakehouse.storage.warehouse import Warehouse

from .cases import SETTINGS, content, ingest, unreferenced
from .killed import start

pytestmark = pytest.mark.slow


@pytest.fixture
def made(somewhere: Any) -> Iterator[Warehouse]:
    """An empty warehouse there."""
    with Warehouse.create(somewhere.path, SETTINGS, somewhere.catalog) as warehouse:
        yield warehouse


def check(warehouse: Warehouse) -> None:
    """No file without a use, no attempt, every hint current."""
    assert unreferenced(warehouse) == set()
    assert warehouse.files.list(warehouse.attempts) == []
    for table in warehouse.tables():
        held = version_hints.read_stem(warehouse.files, warehouse.location(table))
        assert held == version_hints.metadata_stem(warehouse.iceberg(table).metadata_location)


def test_a_warehouse_is_reached_by_its_place_alone(made: Warehouse, somewhere: Any) -> None:
    ingest(made, "one")
    with Warehouse.open(somewhere.path) as warehouse:
        assert warehouse.settings.profile == "safe_harbor"
        assert len(content(warehouse, "patients")) == 3
        assert known_files(warehouse, ["file-of-one"]) == {"file-of-one"}
    assert Warehouse.exists(somewhere.path)
    assert not Warehouse.exists(somewhere.path + "-not")
    check(made)


def test_two_processes_at_once(made: Warehouse, somewhere: Any) -> None:
    running = [start(somewhere.path, command) for command in ("many:a", "claim", "claim")]
    for process in running:
        process.join(300)
    assert [p.exitcode for p in running] == [0, 0, 0]
    ids = made.iceberg("patients").scan().to_arrow()["record_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 4 * 3 + 3
    recover(made)
    assert made.files.list(made.attempts) == []


def test_an_object_store_needs_a_catalog_outside_it(object_store: dict[str, str]) -> None:
    with pytest.raises(WarehouseError, match="--catalog"):
        Warehouse.create("s3://hospital/none", SETTINGS)


def test_a_store_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(WarehouseError, match="cannot be reached"):
        Warehouse.open("s3://hospital/none")

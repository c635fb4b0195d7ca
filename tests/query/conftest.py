"""Warehouses with rows to ask about."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.definitions.tables import load_tables
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.query.views.evaluate import conform_rows
from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.metadata.settings import Settings
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.warehouses import create_warehouse

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
Store = Callable[[Path, Rows], str]


def settings(profile: str = "safe_harbor") -> Settings:
    return Settings(profile=profile, key_id="0123456789abcdef", policy_sha256="0" * 64)


def ledger(ingest_id: str, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    schema = load_tables()["ingests"].schema
    rows = [{"ingest_id": ingest_id, "finished_at": datetime.now(UTC)}]
    return {"ingests": pa.Table.from_pylist(rows, schema)}


def store_rows(path: Path, rows: Rows) -> str:
    """Commit rows as one ingest, the way an engine does; return its id."""
    ingest_id = uuid.uuid4().hex
    tables = {n: conform_rows(n, given, load_tables()[n].schema) for n, given in rows.items()}
    with (
        Warehouse.open(path) as warehouse,
        IngestTransaction(warehouse, ingest_id) as transaction,
    ):
        files = write_tables(warehouse.write_spec(), tables, transaction.attempt, 0)
        transaction.commit(files, ledger(ingest_id, tables))
    return ingest_id


@pytest.fixture
def store() -> Store:
    """Commit rows into a warehouse as one ingest."""
    return store_rows


def observations(n: int, code: str = "2345-7") -> list[dict[str, Any]]:
    return [
        {
            "record_id": f"{uuid.uuid4().hex[:8]}-{i:08d}",
            "ordinal": 0,
            "patient_id": f"p{i % 7}",
            "code": code,
            "code_system": "loinc",
            "value_number": float(i),
            "unit": "mg/dL",
            "observed_at": datetime(2130, 1, 1 + i % 28, 8, tzinfo=UTC),
        }
        for i in range(n)
    ]


ROWS: Rows = {
    "patients": [
        {"record_id": "r1", "ordinal": 0, "patient_id": "p1", "sex": "female", "age_years": 40},
        {"record_id": "r2", "ordinal": 0, "patient_id": "p2", "sex": "male", "age_years": 90},
    ],
    "observations": observations(1000),
}


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with two patients and a thousand results; tests only read it."""
    path = tmp_path_factory.mktemp("query") / "warehouse"
    create_warehouse(path, settings()).close()
    store_rows(path, ROWS)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A warehouse of its own without rows."""
    path = tmp_path / "warehouse"
    create_warehouse(path, settings()).close()
    return path


@pytest.fixture(scope="session")
def lake(filled: Path) -> Iterator[Lakehouse]:
    """The filled warehouse, open."""
    with Lakehouse(filled) as opened:
        yield opened

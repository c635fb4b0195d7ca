"""Small de-identified rows, and the shortest way to ingest them."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from lakehouse.storage.commits.references import referenced_files
from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.metadata.settings import Settings
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

SETTINGS = Settings("safe_harbor", key_id="0123456789abcdef", policy_sha256="ab" * 32)


def patient(number: int) -> str:
    """Return something shaped like a pseudonym."""
    return f"{number:032x}"


def rows(ingest: str, n: int = 3) -> dict[str, pa.Table]:
    """Return rows of two clinical tables, in reverse order of their sort."""
    at = [datetime(2150, 1, 1 + i % 28, tzinfo=UTC) for i in range(n)]
    who = [patient(n - i) for i in range(n)]
    ids = [f"{ingest}-{i:08d}" for i in range(n)]
    ordinals = pa.array([0] * n, pa.int32())
    return {
        "patients": pa.table(
            {"record_id": ids, "ordinal": ordinals, "patient_id": who, "stated_at": at}
        ),
        "observations": pa.table(
            {
                "record_id": ids,
                "ordinal": ordinals,
                "patient_id": who,
                "observed_at": at,
                "value_number": [float(i) for i in range(n)],
            }
        ),
    }


def ledger(ingest: str, files: list[str] | None = None) -> dict[str, pa.Table]:
    """Return the ledger rows of an ingest."""
    files = files if files is not None else [f"file-of-{ingest}"]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "ingest_files": pa.table(
            {
                "ingest_id": [ingest] * len(files),
                "file_id": files,
                "status": ["done"] * len(files),
                "finished_at": [now] * len(files),
            }
        ),
        "ingests": pa.table({"ingest_id": [ingest], "started_at": [now], "finished_at": [now]}),
    }


def ingest(
    warehouse: Warehouse, name: str, n: int = 3, tables: dict[str, pa.Table] | None = None
) -> dict[str, int]:
    """Ingest some rows the way the core does, in two tasks."""
    with IngestTransaction(warehouse, name) as transaction:
        spec = warehouse.write_spec()
        written = []
        for task, part in enumerate([tables or rows(name, n)]):
            written += write_tables(spec, part, transaction.attempt, task)
        return transaction.commit(written, ledger(name))


def content(warehouse: Warehouse, table: str) -> list[tuple[object, ...]]:
    """Return the rows of a table as a sorted list, a multiset that compares."""
    held = warehouse.iceberg(table).scan().to_arrow()
    return sorted(zip(*(c.to_pylist() for c in held.columns), strict=True), key=repr)


def unreferenced(warehouse: Warehouse) -> set[str]:
    """Return files of the tables that nothing refers to."""
    stray: set[str] = set()
    for name in warehouse.tables():
        table = warehouse.iceberg(name)
        stray |= {e.location for e in warehouse.files.list(table.location())}
        stray -= referenced_files(table).all()
    return stray

"""Hundreds of small ingests: commits stay quick, and maintenance makes queries quick again."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lakehouse.query.extensions import load_statements
from lakehouse.storage import IngestTransaction, Warehouse, known_files, recover, write_tables
from lakehouse.storage.maintenance import maintain

from .cases import SETTINGS, content, ledger, rows, unreferenced

INGESTS = 500
ROWS = 200


def small(i: int) -> dict[str, pa.Table]:
    return {"observations": rows(f"{i:08d}", ROWS)["observations"]}


@pytest.mark.slow
def test_five_hundred_small_ingests(tmp_path: Path) -> None:
    spent = []
    with Warehouse.create(tmp_path / "small", SETTINGS) as warehouse:
        for i in range(INGESTS):
            recover(warehouse)
            assert known_files(warehouse, [f"file-of-{i}"]) == set()
            with IngestTransaction(warehouse, f"{i}") as transaction:
                spec = warehouse.write_spec()
                written = write_tables(spec, small(i), transaction.attempt, 0)
                entry = ledger(f"{i}")
                # Of this process alone: other work on the machine is no fault of the commit.
                begun = time.process_time()
                transaction.commit(written, entry)
                spent.append((time.process_time() - begun) / 3)  # three tables
        assert sum(spent[-50:]) / 50 < 0.2
        assert sum(spent[-50:]) < 2 * sum(spent[120:170]), "flat once the history is full"
        assert unreferenced(warehouse) == set()

        maintain(warehouse, keep=1, grace=timedelta())
        maintain(warehouse, keep=1, grace=timedelta())
        assert len(list(warehouse.iceberg("observations").scan().plan_files())) == 1
        assert warehouse.iceberg("observations").scan().count() == INGESTS * ROWS
        assert len(content(warehouse, "ingests")) == INGESTS
        assert unreferenced(warehouse) == set()
        many = quickest(warehouse)

    with Warehouse.create(tmp_path / "big", SETTINGS) as warehouse:
        with IngestTransaction(warehouse, "all") as transaction:
            parts = [small(i)["observations"] for i in range(INGESTS)]
            together = {"observations": pa.concat_tables(parts)}
            written = write_tables(warehouse.write_spec(), together, transaction.attempt, 0)
            transaction.commit(written, ledger("all"))
        one = quickest(warehouse)
    assert many < 1.3 * one + 0.005


def quickest(warehouse: Warehouse) -> float:
    """Return the shortest of several times that DuckDB takes for one query, in seconds."""
    with duckdb.connect() as connection:
        for statement in load_statements():
            connection.execute(statement)
        query = (
            "SELECT patient_id, count(*), max(value_number) "
            f"FROM iceberg_scan('{warehouse.location('observations')}') GROUP BY ALL"
        )
        times = []
        for _ in range(15):
            begun = time.perf_counter()
            connection.execute(query).fetchall()
            times.append(time.perf_counter() - begun)
    return min(times)

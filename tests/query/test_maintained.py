"""Readers that are open while a warehouse is maintained: none loses a row, none is cut off."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb

import lakehouse
from lakehouse.query.connection.extensions import load_statements
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.maintenance.releases import create_release
from lakehouse.storage.warehouse import Warehouse

from .conftest import Store, observations

N, PARTS = 20_000, 4
COUNT = "SELECT count(*) FROM observations"


def small_files(path: Path, store: Store) -> None:
    for _ in range(PARTS):
        store(path, {"observations": observations(N)})


def kept(path: Path, *, grace: timedelta) -> int:
    """Maintain, down to one snapshot; return how many files were deleted."""
    with Warehouse.open(path) as warehouse:
        done = maintain(warehouse, keep=1, grace=grace)
        (report,) = [t for t in done.tables if t.table == "observations"]
    assert report.after.files == 1
    return report.deleted


def test_a_query_that_is_half_read_comes_to_its_end(empty: Path, store: Store) -> None:
    """The files that it reads are not used any more, and stay for the grace period."""
    small_files(empty, store)
    with duckdb.connect() as con:
        for statement in load_statements():
            con.execute(statement)
        con.execute("SET threads = 1")
        table = empty / "tables" / "observations"
        con.execute("SET unsafe_enable_version_guessing = true")
        reader = con.execute(f"SELECT record_id FROM iceberg_scan('{table}')")
        read = reader.fetchmany(1_000)
        kept(empty, grace=timedelta(hours=24))
        read += reader.fetchall()
    assert len(set(read)) == len(read) == N * PARTS


def test_an_open_lakehouse_goes_on_with_what_is_there(empty: Path, store: Store) -> None:
    small_files(empty, store)
    with lakehouse.open(empty) as lake:
        assert lake.sql(COUNT).fetchall() == [(N * PARTS,)]
        relation = lake.sql("SELECT record_id FROM observations")
        kept(empty, grace=timedelta(hours=24))
        assert len(relation.fetchall()) == N * PARTS
        assert kept(empty, grace=timedelta()) > 0
        assert lake.sql(COUNT).fetchall() == [(N * PARTS,)]


def test_a_release_that_is_open_stays_what_it_was(empty: Path, store: Store) -> None:
    """Its files are in use for ever, so that no grace period is needed."""
    small_files(empty, store)
    with Warehouse.open(empty) as warehouse:
        create_release(warehouse, "first")
    store(empty, {"observations": observations(10)})
    with lakehouse.open(empty, as_of="first") as lake:
        assert lake.sql(COUNT).fetchall() == [(N * PARTS,)]
        kept(empty, grace=timedelta())
        kept(empty, grace=timedelta())
        assert lake.sql(COUNT).fetchall() == [(N * PARTS,)]
        ids = lake.sql("SELECT count(DISTINCT record_id) FROM observations").fetchall()
        assert ids == [(N * PARTS,)]
    with lakehouse.open(empty) as lake:
        assert lake.sql(COUNT).fetchall() == [(N * PARTS + 10,)]

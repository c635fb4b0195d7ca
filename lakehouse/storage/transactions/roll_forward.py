"""Committing a journal: each table once, the ledger last, then the hints."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy

from pyiceberg.table import Table as IcebergTable

from lakehouse.storage.commits import pyiceberg_private
from lakehouse.storage.commits.cleanup import commit_id
from lakehouse.storage.commits.retry import commit
from lakehouse.storage.io.data_files import WrittenFile
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import is_local
from lakehouse.storage.metadata import snapshots, version_hints
from lakehouse.storage.metadata.snapshots import INGEST_ID
from lakehouse.storage.transactions import leases
from lakehouse.storage.transactions.journal import Journal
from lakehouse.storage.transactions.ledger import FILES, INGESTS
from lakehouse.storage.warehouse import Warehouse


def roll_forward(warehouse: Warehouse, entry: Journal) -> None:
    """Commit every table of a journal that is not committed yet, and refresh the hints."""
    by_table = entry.by_table()
    found = leases.attempts(warehouse.files, warehouse.attempts)
    unfinished = {a.id for a in found if leases.JOURNAL in a.parts}
    tables: list[IcebergTable] = []
    for name in sorted(by_table, key=_order):
        if name == INGESTS:
            failpoint("before-ledger")
        tables.append(commit_table(warehouse, name, by_table[name], entry, unfinished))
        failpoint(f"committed:{name}")
    failpoint("before-hint")
    for table in tables:
        version_hints.refresh(warehouse.files, table, locked=is_local(warehouse.path))
        failpoint(f"hint:{table.name()[-1]}")


def _order(table: str) -> tuple[bool, bool, str]:
    return table == INGESTS, table == FILES, table


def commit_table(
    warehouse: Warehouse,
    name: str,
    files: Sequence[WrittenFile],
    entry: Journal,
    unfinished: Collection[str],
) -> IcebergTable:
    """Append files to a table once, whatever happens to the answer of the catalog.

    Args:
        warehouse: The warehouse.
        name: The table.
        files: Its files.
        entry: The journal that lists them.
        unfinished: Attempts whose traces in the table's history must stay.

    Raises:
        CommitError: Other writers were faster every time, or the catalog failed.
    """
    summary = {INGEST_ID: entry.ingest_id, snapshots.ATTEMPT: entry.attempt}

    def done(table: IcebergTable) -> bool:
        return has_ingest(table, entry.ingest_id)

    def change(table: IcebergTable) -> None:
        before, drop = copy(table), snapshots.droppable(table, unfinished)
        pyiceberg_private.append(table, files, summary, commit_id(entry.attempt), drop)
        if drop:
            snapshots.delete_unused_manifests(warehouse.files, before, drop)

    return commit(warehouse, name, entry.attempt, change, done)


def has_ingest(table: IcebergTable, ingest_id: str) -> bool:
    """Return whether a snapshot of the table was made by an ingest."""
    return any(
        s.summary is not None and s.summary.get(INGEST_ID) == ingest_id
        for s in table.metadata.snapshots
    )

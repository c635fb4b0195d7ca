"""Commits what a journal lists: each table once, the ledger last, then the version hints."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy

from pyiceberg.table import Table as IcebergTable

from lakehouse.storage.commits import pyiceberg_private
from lakehouse.storage.commits.cleanup import commit_id
from lakehouse.storage.commits.retry import commit_once
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
    """Commit every table of a journal that lacks its ingest, then refresh the version hints."""
    by_table = entry.by_table()
    attempts = leases.list_attempts(warehouse.files, warehouse.attempts)
    unfinished = {a.id for a in attempts if leases.JOURNAL in a.parts}
    tables: list[IcebergTable] = []
    for name in sorted(by_table, key=_commit_order):
        if name == INGESTS:
            failpoint("before-ledger")
        tables.append(commit_table(warehouse, name, by_table[name], entry, unfinished))
        failpoint(f"committed:{name}")
    failpoint("before-hint")
    for table in tables:
        version_hints.refresh_hint(warehouse.files, table, locked=is_local(warehouse.path))
        failpoint(f"hint:{table.name()[-1]}")


def _commit_order(table: str) -> tuple[bool, bool, str]:
    return table == INGESTS, table == FILES, table


def commit_table(
    warehouse: Warehouse,
    name: str,
    files: Sequence[WrittenFile],
    entry: Journal,
    unfinished: Collection[str],
) -> IcebergTable:
    """Append data files to a table exactly once, even when the catalog's answer is lost.

    Args:
        warehouse: The warehouse.
        name: Name of the table.
        files: Data files of the table.
        entry: The journal that lists them.
        unfinished: Ids of attempts whose snapshots must stay in the table's history.

    Raises:
        CommitError: Other writers were faster every time, or the catalog failed.
    """
    summary = {INGEST_ID: entry.ingest_id, snapshots.ATTEMPT: entry.attempt}

    def is_committed(table: IcebergTable) -> bool:
        return has_ingest(table, entry.ingest_id)

    def change(table: IcebergTable) -> None:
        before, drop = copy(table), snapshots.droppable(table, unfinished)
        pyiceberg_private.append_files(table, files, summary, commit_id(entry.attempt), drop)
        if drop:
            snapshots.delete_unused_manifests(warehouse.files, before, drop)

    return commit_once(warehouse, name, entry.attempt, change, is_committed)


def has_ingest(table: IcebergTable, ingest_id: str) -> bool:
    """Return whether an ingest made a snapshot in the table's history."""
    return any(
        s.summary is not None and s.summary.get(INGEST_ID) == ingest_id
        for s in table.metadata.snapshots
    )

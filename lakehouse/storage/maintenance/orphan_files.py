"""Finds orphan files, which nothing refers to, and deletes them after a grace period.

A query that began earlier may still read a file that compaction or expiry left. So maintenance
first records an orphan with the time, and deletes it once the record is older than the grace
period. It passes over every file that a living attempt may be writing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass

from lakehouse.storage.commits.references import referenced_files
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import Entry, Files, join
from lakehouse.storage.transactions import leases
from lakehouse.storage.warehouse import Warehouse

CLOCKS_APART_SECONDS = 600.0
"""How far the clocks of two machines, or of a machine and a store, may differ."""


@dataclass(frozen=True)
class OrphanFiles:
    """Orphan files of one table.

    Attributes:
        waiting: All orphan files, on record or new.
        due: Those among them that are on record for longer than the grace period.
    """

    waiting: tuple[Entry, ...]
    due: tuple[Entry, ...]


def orphans_location(warehouse: Warehouse) -> str:
    """Return the location of the record of orphan files."""
    return join(warehouse.state, "unused.json")


def pending_orphans(warehouse: Warehouse) -> dict[str, float]:
    """Return the time at which each recorded orphan file was found, by location."""
    content = warehouse.files.read(orphans_location(warehouse))
    return {str(k): float(v) for k, v in json.loads(content).items()} if content else {}


def find_orphans(
    warehouse: Warehouse,
    table: str,
    pending: dict[str, float],
    grace_seconds: float,
    own: str = "",
    in_use: Collection[str] | None = None,
) -> OrphanFiles:
    """Return the orphan files of a table.

    Args:
        warehouse: The warehouse.
        table: Name of the table.
        pending: Time of record of the orphan files on record, by location.
        grace_seconds: How long an orphan must be on record to be due.
        own: Id of the caller's attempt.
        in_use: Files that count as in use; None for those that the table refers to.
    """
    iceberg = warehouse.iceberg(table)
    # This order matters: a file of the listing belongs to an attempt that was alive then, or to
    # none.
    entries = warehouse.files.list(iceberg.location())
    busy, since = active_attempts(warehouse, own)
    if in_use is None:
        in_use = referenced_files(warehouse.iceberg(table)).all()
    orphans = [
        e
        for e in entries
        if e.location not in in_use
        and not any(f"/data/{attempt}/" in e.location for attempt in busy)
        and (since is None or e.modified < since)
    ]
    now = time.time()
    due = [e for e in orphans if now - pending.get(e.location, now) >= grace_seconds]
    return OrphanFiles(tuple(orphans), tuple(due))


def active_attempts(warehouse: Warehouse, without: str = "") -> tuple[set[str], float | None]:
    """Return the attempts that may still write, and a time before which none of them wrote.

    Args:
        warehouse: The warehouse.
        without: Id of an attempt to leave out, the caller's own.
    """
    busy = {
        a.id
        for a in leases.list_attempts(warehouse.files, warehouse.attempts)
        if a.id != without
        and (leases.JOURNAL in a.parts or leases.is_alive(warehouse.files, warehouse.attempts, a))
    }
    start_times = [int(a.partition("-")[0], 16) / 1000 for a in busy]
    return busy, min(start_times) - CLOCKS_APART_SECONDS if start_times else None


def record_orphans(warehouse: Warehouse, locations: list[str]) -> None:
    """Record files as orphans from now on; those on record already keep their time."""
    before, now = pending_orphans(warehouse), time.time()
    after = {location: before.get(location, now) for location in sorted(locations)}
    if after != before:
        warehouse.files.replace(orphans_location(warehouse), json.dumps(after).encode())


def delete_files(files: Files, entries: tuple[Entry, ...]) -> int:
    """Delete files and their empty folders; return the bytes of the deleted files."""
    n_bytes = 0
    for entry in entries:
        if files.delete(entry.location):
            n_bytes += entry.size
        files.delete_empty(entry.location.rpartition("/")[0])
        failpoint("maintain-deleting")
    return n_bytes

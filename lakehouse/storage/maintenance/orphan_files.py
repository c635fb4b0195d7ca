"""Files that nothing refers to any more, and when they may go.

A file that compaction or expiry left may still be read by a query that began before. So a file is
first noted, with the time at which it was found unused, and deleted when it has been noted for a
grace period. Whatever a living attempt may just be writing is passed over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass

from lakehouse.storage.commits.references import references
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import Entry, Files, join
from lakehouse.storage.transactions import leases
from lakehouse.storage.warehouse import Warehouse

CLOCKS_APART_SECONDS = 600.0
"""How far the clocks of two machines, or of a machine and a store, may differ."""


@dataclass(frozen=True)
class OrphanFiles:
    """Unused files of one table.

    Attributes:
        waiting: Noted, or found now.
        due: Those among them that were noted for longer than the grace period.
    """

    waiting: tuple[Entry, ...]
    due: tuple[Entry, ...]


def orphans_location(warehouse: Warehouse) -> str:
    """Return where unused files are noted."""
    return join(warehouse.state, "unused.json")


def pending_orphans(warehouse: Warehouse) -> dict[str, float]:
    """Return since when files are known to be unused, by location."""
    content = warehouse.files.read(orphans_location(warehouse))
    return {str(k): float(v) for k, v in json.loads(content).items()} if content else {}


def find_orphans(
    warehouse: Warehouse,
    table: str,
    known: dict[str, float],
    grace_seconds: float,
    own: str = "",
    used: Collection[str] | None = None,
) -> OrphanFiles:
    """Return the unused files of a table.

    Args:
        warehouse: The warehouse.
        table: The table.
        known: What is noted already.
        grace_seconds: How long a file must have been noted.
        own: The attempt that asks.
        used: Files to count as used; None for those that the table refers to.
    """
    iceberg = warehouse.iceberg(table)
    # Listed before the living are asked: a file found by the list belongs to an attempt that
    # was alive then, or to none.
    listed = warehouse.files.list(iceberg.location())
    busy, since = active_attempts(warehouse, own)
    if used is None:
        used = references(warehouse.iceberg(table)).all()
    unused = [
        e
        for e in listed
        if e.location not in used
        and not any(f"/data/{attempt}/" in e.location for attempt in busy)
        and (since is None or e.modified < since)
    ]
    now = time.time()
    due = [e for e in unused if now - known.get(e.location, now) >= grace_seconds]
    return OrphanFiles(tuple(unused), tuple(due))


def active_attempts(warehouse: Warehouse, without: str = "") -> tuple[set[str], float | None]:
    """Return the attempts that may still write, and the time before which none of them did.

    Args:
        warehouse: The warehouse.
        without: An attempt to leave out: one's own.
    """
    busy = {
        a.id
        for a in leases.attempts(warehouse.files, warehouse.attempts)
        if a.id != without
        and (leases.JOURNAL in a.parts or leases.alive(warehouse.files, warehouse.attempts, a))
    }
    began = [int(a.partition("-")[0], 16) / 1000 for a in busy]
    return busy, min(began) - CLOCKS_APART_SECONDS if began else None


def record_orphans(warehouse: Warehouse, locations: list[str]) -> None:
    """Note files as unused from now on, keeping the time of those noted before."""
    before, now = pending_orphans(warehouse), time.time()
    after = {location: before.get(location, now) for location in sorted(locations)}
    if after != before:
        warehouse.files.replace(orphans_location(warehouse), json.dumps(after).encode())


def delete(files: Files, entries: tuple[Entry, ...]) -> int:
    """Delete files; return the bytes that this freed."""
    freed = 0
    for entry in entries:
        if files.delete(entry.location):
            freed += entry.size
        files.delete_empty(entry.location.rpartition("/")[0])
        failpoint("maintain-deleting")
    return freed

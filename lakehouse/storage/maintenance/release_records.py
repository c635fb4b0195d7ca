"""The records of releases and the Iceberg tags that go with them.

A release is a record of snapshots, and an Iceberg tag of the same name on each table, by which
every other engine honours it too. The record is written first; tags that a kill left out are
added by ``recover``, and until then expiry honours the record.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot

from lakehouse.storage.commits import pyiceberg_private, retry
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import is_local, join
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.metadata.settings import COHORTS
from lakehouse.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Release:
    """One snapshot of every table under one name.

    Attributes:
        name: Name of the release.
        created_at: Wall clock, ISO 8601.
        snapshots: Snapshot of each table; None where the table had no rows yet.
        rows: Rows of each table then.
    """

    name: str
    created_at: str
    snapshots: dict[str, int | None]
    rows: dict[str, int]


def list_releases(warehouse: Warehouse) -> list[Release]:
    """Return all releases, oldest first."""
    found = []
    for entry in warehouse.files.list(_folder(warehouse), recursive=False):
        content = warehouse.files.read(entry.location)
        if content is not None and entry.location.endswith(".json"):
            found.append(Release(**json.loads(content)))
    return sorted(found, key=lambda r: (r.created_at, r.name))


def pinned_snapshots(warehouse: Warehouse, table: str) -> set[int]:
    """Return the snapshots of a table that releases and saved cohorts need."""
    held = {r.snapshots.get(table) for r in list_releases(warehouse)}
    for entry in warehouse.files.list(join(warehouse.path, COHORTS), recursive=False):
        with suppress(ValueError, AttributeError):  # a damaged one cannot be loaded either
            saved = json.loads(warehouse.files.read(entry.location) or b"{}")
            held.add(saved.get("snapshots", {}).get(table))
    return {s for s in held if s is not None}


def repair_tags(warehouse: Warehouse, attempt: str) -> None:
    """Make records and tags agree after a kill; the commit lock is held.

    A tag that is missing is added. Where a tag points elsewhere than the record, erasure has put
    another snapshot into its place, and the record follows.

    Args:
        warehouse: The warehouse.
        attempt: The attempt at work, or the one that was killed.
    """
    for release in list_releases(warehouse):
        now = replace(release, snapshots=dict(release.snapshots), rows=dict(release.rows))
        for name, snapshot in release.snapshots.items():
            if snapshot is None:
                continue
            table = warehouse.iceberg(name)
            ref = table.metadata.refs.get(release.name)
            if ref is None:
                move_tag(warehouse, name, release.name, snapshot, attempt)
            elif ref.snapshot_id != snapshot:
                now.snapshots[name] = ref.snapshot_id
                now.rows[name] = rows_in(table.snapshot_by_id(ref.snapshot_id))
        if now != release:
            write(warehouse, now)


def rows_in(snapshot: Snapshot | None) -> int:
    """Return how many rows a table has in a snapshot."""
    summary = snapshot.summary if snapshot is not None else None
    return int(summary.get("total-records") or 0) if summary is not None else 0


def tag(warehouse: Warehouse, release: Release, attempt: str) -> None:
    """Tag the snapshots of a release; the commit lock is held."""
    for table, snapshot in release.snapshots.items():
        if snapshot is not None:
            move_tag(warehouse, table, release.name, snapshot, attempt)
            failpoint(f"release-tagged:{table}")


def move_tag(
    warehouse: Warehouse, name: str, label: str, snapshot: int | None, attempt: str
) -> None:
    """Point a tag of one table at a snapshot, or remove it; the commit lock is held."""

    def done(table: IcebergTable) -> bool:
        ref = table.metadata.refs.get(label)
        return (ref.snapshot_id if ref else None) == snapshot

    table = warehouse.iceberg(name)
    if done(table):
        return
    table = retry.commit(
        warehouse,
        name,
        attempt,
        lambda now: pyiceberg_private.tag(now, label, snapshot),
        done,
    )
    version_hints.refresh(warehouse.files, table, locked=is_local(warehouse.path))


def write(warehouse: Warehouse, release: Release) -> None:
    """Write the record of a release."""
    content = {
        "name": release.name,
        "created_at": release.created_at,
        "snapshots": release.snapshots,
        "rows": release.rows,
    }
    warehouse.files.replace(
        location(warehouse, release.name), json.dumps(content, indent=2).encode()
    )


def location(warehouse: Warehouse, name: str) -> str:
    """Return where the record of a release is."""
    return join(_folder(warehouse), f"{name}.json")


def _folder(warehouse: Warehouse) -> str:
    return join(warehouse.state, "releases")

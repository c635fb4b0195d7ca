"""Records of releases, and the Iceberg tags that go with them.

A release is a record of snapshots plus an Iceberg tag of the same name on each table, which
every other engine honours too. The record comes first. ``recover`` adds tags that a kill left
out, and until then expiry honours the record.
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
from lakehouse.storage.metadata.settings import COHORTS_FOLDER
from lakehouse.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Release:
    """One snapshot of every table under one name.

    Attributes:
        name: Name of the release.
        created_at: Time of creation, ISO 8601.
        snapshots: Snapshot id of each table; None where the table had no rows yet.
        rows: Rows of each table in that snapshot.
    """

    name: str
    created_at: str
    snapshots: dict[str, int | None]
    rows: dict[str, int]


def list_releases(warehouse: Warehouse) -> list[Release]:
    """Return all releases, oldest first."""
    releases = []
    for entry in warehouse.files.list(_records_folder(warehouse), recursive=False):
        content = warehouse.files.read(entry.location)
        if content is not None and entry.location.endswith(".json"):
            releases.append(Release(**json.loads(content)))
    return sorted(releases, key=lambda r: (r.created_at, r.name))


def pinned_snapshots(warehouse: Warehouse, table: str) -> set[int]:
    """Return the ids of a table's snapshots that releases and saved cohorts need."""
    snapshot_ids = {r.snapshots.get(table) for r in list_releases(warehouse)}
    for entry in warehouse.files.list(join(warehouse.path, COHORTS_FOLDER), recursive=False):
        with suppress(ValueError, AttributeError):  # nobody can load a damaged cohort either
            saved = json.loads(warehouse.files.read(entry.location) or b"{}")
            snapshot_ids.add(saved.get("snapshots", {}).get(table))
    return {s for s in snapshot_ids if s is not None}


def repair_tags(warehouse: Warehouse, attempt: str) -> None:
    """Make records and tags agree after a kill; the caller holds the commit lock.

    The function adds missing tags. Where a tag points elsewhere than the record, erasure has
    replaced the snapshot, and the record follows the tag.

    Args:
        warehouse: The warehouse.
        attempt: Id of the attempt at work, or of the one that was killed.
    """
    for release in list_releases(warehouse):
        corrected = replace(release, snapshots=dict(release.snapshots), rows=dict(release.rows))
        for name, snapshot in release.snapshots.items():
            if snapshot is None:
                continue
            table = warehouse.iceberg(name)
            ref = table.metadata.refs.get(release.name)
            if ref is None:
                move_tag(warehouse, name, release.name, snapshot, attempt)
            elif ref.snapshot_id != snapshot:
                corrected.snapshots[name] = ref.snapshot_id
                corrected.rows[name] = rows_in(table.snapshot_by_id(ref.snapshot_id))
        if corrected != release:
            write_record(warehouse, corrected)


def rows_in(snapshot: Snapshot | None) -> int:
    """Return how many rows a table has in a snapshot, by its summary."""
    summary = snapshot.summary if snapshot is not None else None
    return int(summary.get("total-records") or 0) if summary is not None else 0


def tag_release(warehouse: Warehouse, release: Release, attempt: str) -> None:
    """Tag the snapshots of a release; the caller holds the commit lock."""
    for table, snapshot in release.snapshots.items():
        if snapshot is not None:
            move_tag(warehouse, table, release.name, snapshot, attempt)
            failpoint(f"release-tagged:{table}")


def move_tag(
    warehouse: Warehouse, name: str, label: str, snapshot: int | None, attempt: str
) -> None:
    """Point a tag of one table at a snapshot, or remove it; the caller holds the commit lock."""

    def is_committed(table: IcebergTable) -> bool:
        ref = table.metadata.refs.get(label)
        return (ref.snapshot_id if ref else None) == snapshot

    table = warehouse.iceberg(name)
    if is_committed(table):
        return
    table = retry.commit_once(
        warehouse,
        name,
        attempt,
        lambda now: pyiceberg_private.set_tag(now, label, snapshot),
        is_committed,
    )
    version_hints.refresh_hint(warehouse.files, table, locked=is_local(warehouse.path))


def write_record(warehouse: Warehouse, release: Release) -> None:
    """Write the record of a release."""
    content = {
        "name": release.name,
        "created_at": release.created_at,
        "snapshots": release.snapshots,
        "rows": release.rows,
    }
    warehouse.files.replace(
        record_location(warehouse, release.name), json.dumps(content, indent=2).encode()
    )


def record_location(warehouse: Warehouse, name: str) -> str:
    """Return the location of a release's record."""
    return join(_records_folder(warehouse), f"{name}.json")


def _records_folder(warehouse: Warehouse) -> str:
    return join(warehouse.state, "releases")

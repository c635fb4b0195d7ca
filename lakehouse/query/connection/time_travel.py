"""Time travel: the snapshot of each table that ``as_of`` selects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.errors import QueryError, did_you_mean
from lakehouse.query.connection.location import EMPTY

if TYPE_CHECKING:
    from lakehouse.storage.warehouse import Warehouse

Snapshots = Mapping[str, list[dict[str, Any]]]
"""The snapshots of each table, oldest first."""


def newest_snapshots(warehouse: Warehouse) -> dict[str, int]:
    """Return the newest snapshot of each table."""
    return {
        n: each[-1]["snapshot_id"] if each else EMPTY
        for n, each in _snapshots_by_table(warehouse).items()
    }


def all_snapshots(warehouse: Warehouse) -> set[int]:
    """Return the snapshots of all tables."""
    return {s["snapshot_id"] for each in _snapshots_by_table(warehouse).values() for s in each}


def _snapshots_by_table(warehouse: Warehouse) -> Snapshots:
    return {name: warehouse.snapshots(name).to_pylist() for name in warehouse.tables()}


def snapshots_as_of(warehouse: Warehouse, as_of: int | str | datetime) -> dict[str, int]:
    """Return the snapshot of each table at a release, a time or a snapshot's id.

    An ingest commits one table after the other. So the id of a snapshot selects the state after the
    whole ingest: the ingest's snapshot of each table, or the last one before its end for a table
    without new rows.

    Raises:
        QueryError: No release or snapshot has the name or id, or the text is no time.
    """
    from lakehouse.storage.maintenance.release_records import list_releases

    snapshots = _snapshots_by_table(warehouse)
    if isinstance(as_of, datetime):
        return at_time(snapshots, as_of)
    if isinstance(as_of, int) or as_of.lstrip("-").isdigit():
        return at_snapshot(snapshots, int(as_of))
    releases = {release.name: release.snapshots for release in list_releases(warehouse)}
    if as_of in releases:
        return {name: releases[as_of].get(name) or EMPTY for name in snapshots}
    try:
        return at_time(snapshots, datetime.fromisoformat(as_of))
    except ValueError:
        raise QueryError(
            f"There is no release named {as_of}, and it is no time or snapshot id either.",
            did_you_mean(as_of, releases) or "Write a time as 2026-01-31T12:00.",
        ) from None


def at_time(snapshots: Snapshots, when: datetime) -> dict[str, int]:
    """Return the last snapshot of each table at a time; without a zone it is UTC."""
    moment = when if when.tzinfo else when.replace(tzinfo=UTC)
    return {
        name: next((s["snapshot_id"] for s in reversed(each) if s["committed_at"] <= moment), EMPTY)
        for name, each in snapshots.items()
    }


def at_snapshot(snapshots: Snapshots, snapshot_id: int) -> dict[str, int]:
    """Return the snapshot of each table after the ingest that committed a snapshot.

    Raises:
        QueryError: No table has the snapshot, or maintenance has expired it.
    """
    chosen = next(
        (s for each in snapshots.values() for s in each if s["snapshot_id"] == snapshot_id), None
    )
    if chosen is None:
        raise QueryError(
            f"There is no snapshot {snapshot_id}.",
            "Choose one of `lakehouse.open(path).snapshots(table)`; maintenance expires old ones.",
        )
    ingest = chosen.get("ingest_id")
    own = {
        name: s
        for name, each in snapshots.items()
        for s in each
        if s["snapshot_id"] == snapshot_id or (ingest and s.get("ingest_id") == ingest)
    }
    complete = max(s["committed_at"] for s in own.values())
    return {**at_time(snapshots, complete), **{name: s["snapshot_id"] for name, s in own.items()}}

"""Time travel: which snapshot of each table ``as_of`` means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.errors import QueryError, did_you_mean
from lakehouse.query.connection.location import EMPTY

if TYPE_CHECKING:
    from lakehouse.storage.warehouse import Warehouse

Snapshots = Mapping[str, list[dict[str, Any]]]
"""Per table its snapshots, oldest first."""


def newest(warehouse: Warehouse) -> dict[str, int]:
    """Return the newest snapshot of each table."""
    return {n: each[-1]["snapshot_id"] if each else EMPTY for n, each in _known(warehouse).items()}


def snapshots(warehouse: Warehouse) -> set[int]:
    """Return every snapshot that a table has."""
    return {s["snapshot_id"] for each in _known(warehouse).values() for s in each}


def _known(warehouse: Warehouse) -> Snapshots:
    return {name: warehouse.snapshots(name).to_pylist() for name in warehouse.tables()}


def pins(warehouse: Warehouse, as_of: int | str | datetime) -> dict[str, int]:
    """Return the snapshot of each table that a release, a time or a snapshot's id means.

    An ingest commits one table after the other. The id of a snapshot therefore means the state
    after the whole ingest that made it: of each table the snapshot of that ingest, or, where it
    added nothing, the last one before the ingest was complete.

    Raises:
        QueryError: There is no such release or snapshot, or the text is no time.
    """
    from lakehouse.storage.maintenance.release_records import list_releases

    known = _known(warehouse)
    if isinstance(as_of, datetime):
        return at_time(known, as_of)
    if isinstance(as_of, int) or as_of.lstrip("-").isdigit():
        return at_snapshot(known, int(as_of))
    releases = {release.name: release.snapshots for release in list_releases(warehouse)}
    if as_of in releases:
        return {name: releases[as_of].get(name) or EMPTY for name in known}
    try:
        return at_time(known, datetime.fromisoformat(as_of))
    except ValueError:
        raise QueryError(
            f"There is no release named {as_of}, and it is no time or snapshot id either.",
            did_you_mean(as_of, releases) or "A time reads like 2026-01-31T12:00.",
        ) from None


def at_time(known: Snapshots, when: datetime) -> dict[str, int]:
    """Return the last snapshot of each table at a time; without a zone it is UTC."""
    moment = when if when.tzinfo else when.replace(tzinfo=UTC)
    return {
        name: next((s["snapshot_id"] for s in reversed(each) if s["committed_at"] <= moment), EMPTY)
        for name, each in known.items()
    }


def at_snapshot(known: Snapshots, snapshot_id: int) -> dict[str, int]:
    """Return the state after the ingest that made a snapshot.

    Raises:
        QueryError: No table has the snapshot (any more).
    """
    found = next(
        (s for each in known.values() for s in each if s["snapshot_id"] == snapshot_id), None
    )
    if found is None:
        raise QueryError(
            f"There is no snapshot {snapshot_id}.",
            "`lakehouse.open(path).snapshots(table)` lists them; maintenance expires old ones.",
        )
    ingest = found.get("ingest_id")
    own = {
        name: s
        for name, each in known.items()
        for s in each
        if s["snapshot_id"] == snapshot_id or (ingest and s.get("ingest_id") == ingest)
    }
    complete = max(s["committed_at"] for s in own.values())
    return {**at_time(known, complete), **{name: s["snapshot_id"] for name, s in own.items()}}

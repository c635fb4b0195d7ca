"""A bounded history: a commit costs the same after ten thousand ingests as after a hundred.

Every commit rewrites the table's metadata with all of its snapshots, so a history that only
grows makes commits slower and slower: a hundred snapshots double their time. A commit therefore
drops the oldest snapshots beyond ``KEPT``, a batch at a time. Never dropped: what a release or
branch points at, what tells that an ingest still in progress has reached this table, and a
snapshot that replaced data files with the one before it (dropping that would strand files;
``maintain`` does it, with a grace period).
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import pyarrow as pa
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from lakehouse.storage.io.files import Files

MAX_SNAPSHOTS = 50
"""Snapshots that a table keeps without being asked; a release keeps its own for ever."""

BATCH = 10
"""How many a commit drops at once."""

ATTEMPT = "lakehouse.attempt"
"""Snapshot property: the attempt that made it."""

INGEST_ID = "lakehouse.ingest-id"
"""Snapshot property: the ingest that made it."""

SNAPSHOTS = pa.schema(
    [
        ("snapshot_id", pa.int64()),
        ("committed_at", pa.timestamp("us", tz="UTC")),
        ("operation", pa.string()),
        ("rows", pa.int64()),
        ("ingest_id", pa.string()),
        ("release", pa.string()),
    ]
)


def snapshot_table(table: Table) -> pa.Table:
    """Return the snapshots of a table; ``Warehouse.snapshots`` says what of each."""
    line = {entry.snapshot_id for entry in table.metadata.snapshot_log}
    names: dict[int, list[str]] = {}
    for name, ref in table.metadata.refs.items():
        if name != "main":
            names.setdefault(ref.snapshot_id, []).append(name)
    rows = [
        {
            "snapshot_id": s.snapshot_id,
            "committed_at": s.timestamp_ms * 1000,
            "operation": s.summary.operation.value if s.summary else None,
            "rows": int(s.summary.get("total-records", 0) or 0) if s.summary else None,
            "ingest_id": s.summary.get(INGEST_ID) if s.summary else None,
            "release": ", ".join(sorted(names.get(s.snapshot_id, []))) or None,
        }
        for s in sorted(
            table.metadata.snapshots,
            key=lambda s: (s.snapshot_id in line, s.sequence_number or 0),
        )
    ]
    return pa.Table.from_pylist(rows, SNAPSHOTS)


def droppable(table: Table, unfinished: Collection[str]) -> list[int]:
    """Return the snapshots that the next commit drops; usually none.

    Args:
        table: The table.
        unfinished: Attempts whose journal still exists.
    """
    ordered = sorted(table.metadata.snapshots, key=lambda s: s.sequence_number or 0)
    pinned = {ref.snapshot_id for ref in table.metadata.refs.values()}
    # Among all that are old: those that must stay gather at the beginning, and would hide the rest.
    free = [
        snapshot.snapshot_id
        for snapshot, following in pairwise(ordered[: max(len(ordered) - MAX_SNAPSHOTS, 0) + 1])
        if snapshot.snapshot_id not in pinned
        and _appends(snapshot)
        and _appends(following)
        and (snapshot.summary is None or snapshot.summary.get(ATTEMPT) not in unfinished)
    ]
    return free[:BATCH] if len(free) >= BATCH else []


def _appends(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary.operation == Operation.APPEND


def delete_unused_manifests(files: Files, before: Table, dropped: Collection[int]) -> None:
    """Delete the manifests and manifest lists that only dropped snapshots used.

    Between two appends manifests only vanish by being merged into one. So what a dropped snapshot
    has and neither its successor nor an older kept one has, nobody has.

    Args:
        files: Access to the storage.
        before: The table as loaded before the commit that dropped them.
        dropped: Their ids.
    """
    ordered = sorted(before.metadata.snapshots, key=lambda s: s.sequence_number or 0)
    last = max(i for i, s in enumerate(ordered) if s.snapshot_id in dropped)
    gone, kept = set(), set()
    for snapshot in ordered[: last + 2]:
        held = {m.manifest_path for m in snapshot.manifests(before.io)}
        if snapshot.snapshot_id in dropped:
            gone |= held | {snapshot.manifest_list}
        else:
            kept |= held
    for location in gone - kept:
        files.delete(location)

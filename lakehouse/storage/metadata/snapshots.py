"""The snapshots of a table, and which of the oldest a commit drops to bound the history.

Every commit rewrites the table's metadata with all of its snapshots, and a hundred of them double
its time. So a commit drops the oldest snapshots beyond ``MAX_SNAPSHOTS``, a batch at a time, and
costs the same after ten thousand ingests as after a hundred. It never drops:

- a snapshot that a release or branch points at
- a snapshot which tells that an unfinished ingest has reached this table
- a snapshot that replaced data files, and the one before it: dropping them would strand files
  (``maintain`` does it, with a grace period)
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import pyarrow as pa
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from lakehouse.storage.io.files import Files

MAX_SNAPSHOTS = 50
"""Snapshots that a table keeps by default; a release keeps its own for ever."""

DROP_BATCH = 10
"""Snapshots that a commit drops at once."""

ATTEMPT = "lakehouse.attempt"
"""Snapshot property with the id of the attempt that made the snapshot."""

INGEST_ID = "lakehouse.ingest-id"
"""Snapshot property with the id of the ingest that made the snapshot."""

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
    """Return the snapshots of a table with the columns that ``Warehouse.snapshots`` describes."""
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
    """Return the ids of the snapshots that the next commit drops; usually none.

    Args:
        table: The table.
        unfinished: Ids of attempts whose journal still exists.
    """
    ordered = sorted(table.metadata.snapshots, key=lambda s: s.sequence_number or 0)
    referenced = {ref.snapshot_id for ref in table.metadata.refs.values()}
    # All old snapshots count: those that must stay gather at the beginning and would hide the rest.
    droppable_ids = [
        snapshot.snapshot_id
        for snapshot, following in pairwise(ordered[: max(len(ordered) - MAX_SNAPSHOTS, 0) + 1])
        if snapshot.snapshot_id not in referenced
        and _is_append(snapshot)
        and _is_append(following)
        and (snapshot.summary is None or snapshot.summary.get(ATTEMPT) not in unfinished)
    ]
    return droppable_ids[:DROP_BATCH] if len(droppable_ids) >= DROP_BATCH else []


def _is_append(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary.operation == Operation.APPEND


def delete_unused_manifests(files: Files, before: Table, dropped_ids: Collection[int]) -> None:
    """Delete the manifests and manifest lists that only dropped snapshots used.

    Between two appends manifests vanish only by a merge into one. So a manifest of a dropped
    snapshot is unused when neither its successor nor an older remaining snapshot has it.

    Args:
        files: Access to the storage.
        before: The table as loaded before the commit that dropped them.
        dropped_ids: Their ids.
    """
    ordered = sorted(before.metadata.snapshots, key=lambda s: s.sequence_number or 0)
    last = max(i for i, s in enumerate(ordered) if s.snapshot_id in dropped_ids)
    unused, needed = set(), set()
    for snapshot in ordered[: last + 2]:
        manifests = {m.manifest_path for m in snapshot.manifests(before.io)}
        if snapshot.snapshot_id in dropped_ids:
            unused |= manifests | {snapshot.manifest_list}
        else:
            needed |= manifests
    for location in unused - needed:
        files.delete(location)

"""Rows of committed files in new files: what compaction and erasure have in common."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable


def read(table: IcebergTable, tasks: Sequence[FileScanTask]) -> pa.Table:
    """Return the rows of some data files in the table's present schema.

    Rows that another engine deleted by position are left out, and columns that a file predates
    are null.
    """
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    return scan.to_table(tasks)


def plan(table: IcebergTable, snapshot_id: int | None = None) -> list[FileScanTask]:
    """Return the data files of the current or another snapshot, in a stable order."""
    if snapshot_id is None and table.current_snapshot() is None:
        return []
    return sorted(table.scan(snapshot_id=snapshot_id).plan_files(), key=lambda t: t.file.file_path)


def partition_of(task: FileScanTask) -> tuple[int, tuple[object, ...]]:
    """Return the partition spec and value of a file."""
    record = task.file.partition
    return task.file.spec_id, tuple(record[i] for i in range(len(record)))

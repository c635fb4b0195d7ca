"""Lists and reads committed data files; compaction, erasure and release diffs stand on it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable


def read_rows(table: IcebergTable, tasks: Sequence[FileScanTask]) -> pa.Table:
    """Return the rows of some data files in the table's current schema.

    The result leaves out rows that another engine deleted by position. Columns that are newer
    than a file are null.
    """
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    return scan.to_table(tasks)


def plan_files(table: IcebergTable, snapshot_id: int | None = None) -> list[FileScanTask]:
    """Return the data files of a snapshot, by default the current one, in a stable order."""
    if snapshot_id is None and table.current_snapshot() is None:
        return []
    return sorted(table.scan(snapshot_id=snapshot_id).plan_files(), key=lambda t: t.file.file_path)


def partition_of(task: FileScanTask) -> tuple[int, tuple[object, ...]]:
    """Return the partition spec id and partition value of a file."""
    record = task.file.partition
    return task.file.spec_id, tuple(record[i] for i in range(len(record)))

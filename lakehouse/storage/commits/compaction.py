"""Compaction: replaces many small data files of a table by few sorted ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable

from lakehouse.errors import LakehouseError
from lakehouse.storage.commits import file_scans, pyiceberg_private, retry
from lakehouse.storage.commits.cleanup import commit_id
from lakehouse.storage.io.data_files import WrittenFile, write_tables
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import is_local
from lakehouse.storage.io.locks import hold_lock
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.metadata.snapshots import ATTEMPT
from lakehouse.storage.warehouse import Warehouse

SMALL = 0.75
"""Share of the target size below which a file counts as small."""

OPERATION = "lakehouse.operation"
"""Snapshot property that says why files were replaced (``compact``, ``erase``)."""


@dataclass(frozen=True)
class CompactionPlan:
    """Groups of a table's data files that compaction merges.

    Attributes:
        groups: Files of one partition that become one file, per group.
    """

    groups: tuple[tuple[FileScanTask, ...], ...]

    @property
    def n_files(self) -> int:
        """Number of files that compaction replaces."""
        return sum(len(g) for g in self.groups)


def plan_compaction(table: IcebergTable, target_bytes: int) -> CompactionPlan:
    """Return which files of a table compaction would merge.

    Groups hold files of one partition, in the order of their names, up to the target size, so
    that one group bounds the memory. A group of one file stays as it is.
    """
    by_partition: dict[tuple[int, tuple[object, ...]], list[FileScanTask]] = {}
    for task in file_scans.plan_files(table):
        if task.file.file_size_in_bytes < SMALL * target_bytes or task.delete_files:
            by_partition.setdefault(file_scans.partition_of(task), []).append(task)
    return CompactionPlan(
        tuple(g for tasks in by_partition.values() for g in _pack_groups(tasks, target_bytes))
    )


def _pack_groups(tasks: list[FileScanTask], target: int) -> Iterator[tuple[FileScanTask, ...]]:
    group: list[FileScanTask] = []
    size = 0
    for task in tasks:
        if group and size + task.file.file_size_in_bytes > target:
            yield from _groups_to_merge(group)
            group, size = [], 0
        group.append(task)
        size += task.file.file_size_in_bytes
    yield from _groups_to_merge(group)


def _groups_to_merge(group: list[FileScanTask]) -> Iterator[tuple[FileScanTask, ...]]:
    if len(group) > 1 or any(t.delete_files for t in group):
        yield tuple(group)


def compact(warehouse: Warehouse, name: str, attempt: str, target_bytes: int) -> IcebergTable:
    """Replace the small files of a table by sorted ones of the target size, in one commit.

    Ingests may go on meanwhile. If another process replaced the same files first, this one
    changes nothing.

    Args:
        warehouse: The warehouse.
        name: Name of the table.
        attempt: Id of an attempt whose lease is alive.
        target_bytes: Size of a data file.

    Returns:
        The table after compaction.
    """
    table = warehouse.iceberg(name)
    compaction = plan_compaction(table, target_bytes)
    if not compaction.groups:
        return table
    spec = replace(warehouse.write_spec(), target_bytes=target_bytes)
    new_files: list[WrittenFile] = []
    for number, group in enumerate(compaction.groups):
        rows = {name: file_scans.read_rows(table, group)}
        new_files += write_tables(spec, rows, attempt, number)
    failpoint(f"maintain-written:{name}")
    old_files = [task.file for group in compaction.groups for task in group]
    old_paths = {file.file_path for file in old_files}
    summary = {ATTEMPT: attempt, OPERATION: "compact"}

    def is_committed(now: IcebergTable) -> bool:
        snapshots = now.metadata.snapshots
        return any(
            s.summary is not None
            and s.summary.get(ATTEMPT) == attempt
            and s.summary.get(OPERATION) == "compact"
            for s in snapshots
        )

    def change(now: IcebergTable) -> None:
        if not old_paths <= {t.file.file_path for t in file_scans.plan_files(now)}:
            raise _FilesReplacedError(f"The files of {name} were replaced meanwhile.")
        pyiceberg_private.replace_files(now, old_files, new_files, summary, commit_id(attempt))

    try:
        with hold_lock(warehouse.state, "commit"):
            table = retry.commit_once(warehouse, name, attempt, change, is_committed)
            failpoint(f"maintain-committed:{name}")
            version_hints.refresh_hint(warehouse.files, table, locked=is_local(warehouse.path))
    except _FilesReplacedError:
        for file in new_files:
            warehouse.files.delete(file.location)
    return table


class _FilesReplacedError(LakehouseError):
    """Another process replaced the files first."""

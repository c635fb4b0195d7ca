"""Many small data files into few sorted ones."""

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
from lakehouse.storage.io.locks import exclusive
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.metadata.snapshots import ATTEMPT
from lakehouse.storage.warehouse import Warehouse

SMALL = 0.75
"""Share of the target size below which a file is small."""

OPERATION = "lakehouse.operation"
"""Snapshot property: why files were replaced (``compact``, ``erase``)."""


@dataclass(frozen=True)
class Plan:
    """Which files of a table are to become one.

    Attributes:
        groups: Files that become one file each, of one partition.
    """

    groups: tuple[tuple[FileScanTask, ...], ...]

    @property
    def n_files(self) -> int:
        """Number of files that will be replaced."""
        return sum(len(g) for g in self.groups)


def plan(table: IcebergTable, target_bytes: int) -> Plan:
    """Return what compaction would do to a table.

    Files of one partition are packed, in the order of their names, into groups of the target
    size; memory is bounded by a group. A group of one file is left as it is.
    """
    by_partition: dict[tuple[int, tuple[object, ...]], list[FileScanTask]] = {}
    for task in file_scans.plan(table):
        if task.file.file_size_in_bytes < SMALL * target_bytes or task.delete_files:
            by_partition.setdefault(file_scans.partition_of(task), []).append(task)
    return Plan(tuple(g for tasks in by_partition.values() for g in _packed(tasks, target_bytes)))


def _packed(tasks: list[FileScanTask], target: int) -> Iterator[tuple[FileScanTask, ...]]:
    group: list[FileScanTask] = []
    size = 0
    for task in tasks:
        if group and size + task.file.file_size_in_bytes > target:
            yield from _worthwhile(group)
            group, size = [], 0
        group.append(task)
        size += task.file.file_size_in_bytes
    yield from _worthwhile(group)


def _worthwhile(group: list[FileScanTask]) -> Iterator[tuple[FileScanTask, ...]]:
    if len(group) > 1 or any(t.delete_files for t in group):
        yield tuple(group)


def compact(warehouse: Warehouse, name: str, attempt: str, target_bytes: int) -> IcebergTable:
    """Replace the small files of a table by sorted ones of the target size, in one commit.

    Ingests may go on meanwhile. If another process replaced the same files first, the table is
    left to it.

    Args:
        warehouse: The warehouse.
        name: The table.
        attempt: Attempt with a living lease.
        target_bytes: Size of a data file.

    Returns:
        The table as it is then.
    """
    table = warehouse.iceberg(name)
    planned = plan(table, target_bytes)
    if not planned.groups:
        return table
    spec = replace(warehouse.write_spec(), target_bytes=target_bytes)
    added: list[WrittenFile] = []
    for number, group in enumerate(planned.groups):
        rows = {name: file_scans.read(table, group)}
        added += write_tables(spec, rows, attempt, number)
    failpoint(f"maintain-written:{name}")
    removed = [task.file for group in planned.groups for task in group]
    gone = {file.file_path for file in removed}
    summary = {ATTEMPT: attempt, OPERATION: "compact"}

    def done(now: IcebergTable) -> bool:
        made = now.metadata.snapshots
        return any(
            s.summary is not None
            and s.summary.get(ATTEMPT) == attempt
            and s.summary.get(OPERATION) == "compact"
            for s in made
        )

    def change(now: IcebergTable) -> None:
        if not gone <= {t.file.file_path for t in file_scans.plan(now)}:
            raise _Overtaken(f"The files of {name} were replaced meanwhile.")
        pyiceberg_private.replace(now, removed, added, summary, commit_id(attempt))

    try:
        with exclusive(warehouse.state, "commit"):
            table = retry.commit(warehouse, name, attempt, change, done)
            failpoint(f"maintain-committed:{name}")
            version_hints.refresh(warehouse.files, table, locked=is_local(warehouse.path))
    except _Overtaken:
        for file in added:
            warehouse.files.delete(file.location)
    return table


class _Overtaken(LakehouseError):
    """Another process replaced the files first."""

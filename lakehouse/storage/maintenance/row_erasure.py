"""Erases rows from every snapshot, every release and every file of a warehouse.

Iceberg keeps the past: a row that a new snapshot no longer shows is still in the old data file.
So erasure rewrites every data file of the current snapshot or a release that holds such a row. It
drops all other history and deletes at once, without a grace period, what nothing refers to. A
query that runs meanwhile fails.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysFalse, BooleanExpression, In, Or
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.refs import MAIN_BRANCH

from lakehouse.errors import CommitError
from lakehouse.storage.commits import file_scans, pyiceberg_private, retry
from lakehouse.storage.commits.cleanup import commit_id
from lakehouse.storage.commits.compaction import OPERATION
from lakehouse.storage.commits.references import referenced_files
from lakehouse.storage.io.data_files import WrittenFile, write_tables
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import Entry, is_local, join
from lakehouse.storage.io.locks import hold_lock
from lakehouse.storage.maintenance import orphan_files, release_records
from lakehouse.storage.maintenance.recovery import lease_attempt, recover
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.metadata.snapshots import ATTEMPT
from lakehouse.storage.warehouse import Warehouse

Key = str | tuple[str, ...]
"""A column, or several columns whose values count together."""

RowsToErase = Mapping[Key, Collection[object]]
"""Values, or tuples of values, by key. Erasure takes a row that matches any key of its table."""


@dataclass(frozen=True)
class TableErasure:
    """What erasure did to one table.

    Attributes:
        table: Name of the table.
        rows: Rows removed from the current snapshot.
        n_rewritten: Data files rewritten, or dropped because no row remained.
        n_deleted: Files deleted from the storage.
    """

    table: str
    rows: int
    n_rewritten: int
    n_deleted: int


def erase_rows(
    warehouse: Warehouse,
    unwanted: RowsToErase | Callable[[], RowsToErase],
    tables: Collection[str] | None = None,
) -> list[TableErasure]:
    """Remove rows so that no file of the warehouse holds them any more.

    Args:
        warehouse: The warehouse; no ingest may be running.
        unwanted: Rows to erase, such as ``{"patient_id": {...}, "old_patient_id": {...},
            ("file_id", "record_ordinal"): {("ab...", 3)}}``. Or a function that returns them,
            called when no ingest is running and none can commit.
        tables: Names of tables; None for all that have the columns.

    Returns:
        One entry per table that had such rows, in any snapshot.

    Raises:
        CommitError: An ingest or maintenance is running, or a table could not be committed;
            running it again goes on.

    Examples:
        ::

            erase(warehouse, {"patient_id": {pseudonym}, "old_patient_id": {pseudonym}})
    """
    recover(warehouse)
    with lease_attempt(warehouse, "erase") as attempt, hold_lock(warehouse.state, "commit"):
        names = warehouse.tables() if tables is None else sorted(tables)
        # This order matters: an ingest that begins later writes files that nothing refers to yet,
        # and no listing from before holds those.
        files_before = {name: warehouse.files.list(warehouse.location(name)) for name in names}
        require_idle(warehouse, attempt)
        rows = unwanted() if callable(unwanted) else unwanted
        reports = [
            _erase_from_table(warehouse, name, rows, attempt, files_before[name]) for name in names
        ]
        failpoint("erase-before-releases")
        release_records.repair_tags(warehouse, attempt)
    return [r for r in reports if r.n_rewritten or r.n_deleted]


def plan_location(warehouse: Warehouse) -> str:
    """Return the location of the plan that the erasure of a patient keeps until it is complete."""
    return join(warehouse.state, "forget.json")


def require_idle(warehouse: Warehouse, attempt: str = "") -> None:
    """Raise an error while other attempts are at work in a warehouse.

    Args:
        warehouse: The warehouse.
        attempt: Id of the caller's own attempt.

    Raises:
        CommitError: An ingest or maintenance is running.
    """
    if orphan_files.active_attempts(warehouse, without=attempt)[0]:
        raise CommitError(
            "An ingest or maintenance is running in this warehouse.",
            "Wait for it to end, then run the same command again.",
        )


def _erase_from_table(
    warehouse: Warehouse,
    name: str,
    unwanted: RowsToErase,
    attempt: str,
    files_before: Sequence[Entry],
) -> TableErasure:
    table = warehouse.iceberg(name)
    columns = set(table.schema().column_names)
    keys = {k: v for k, v in unwanted.items() if set(_key_columns(k)) <= columns and v}
    if not keys:
        return TableErasure(name, 0, 0, 0)
    rewrite = _TableRewrite(warehouse, table, keys, attempt)
    refs = {name: ref.snapshot_id for name, ref in table.metadata.refs.items()}
    tasks_by_snapshot = {
        s.snapshot_id: rewrite.files(s.snapshot_id) for s in table.metadata.snapshots
    }
    if any(tasks_by_snapshot.values()):
        changes = {
            ref: rewrite.change(tasks_by_snapshot[i])
            for ref, i in refs.items()
            if tasks_by_snapshot[i]
        }
        failpoint(f"erase-written:{name}")
        table = _commit_changes(warehouse, table, changes, attempt)
        failpoint(f"erase-committed:{name}")
    # This is due even when no row matches: a run that was killed here left unreferenced files.
    deleted = _delete_unreferenced(warehouse, table, files_before)
    present = tasks_by_snapshot.get(refs.get(MAIN_BRANCH, -1), [])
    n_erased = sum(rewrite.matches[t.file.file_path] for t in present)
    return TableErasure(name, n_erased, len(rewrite.rewritten), deleted)


class _TableRewrite:
    """The data files of one table that hold rows to erase, and the files that replace them.

    Attributes:
        matches: Number of rows to erase, by data file.
        rewritten: New files, by the data file that they replace.
    """

    def __init__(
        self, warehouse: Warehouse, table: IcebergTable, keys: RowsToErase, attempt: str
    ) -> None:
        self.matches: dict[str, int] = {}
        self.rewritten: dict[str, list[WrittenFile]] = {}
        self._warehouse = warehouse
        self._table = table
        self._keys = keys
        self._attempt = attempt
        terms = [
            In(_key_columns(k)[0], {v[0] if isinstance(v, tuple) else v for v in vs})
            for k, vs in keys.items()
        ]
        self._filter: BooleanExpression = Or(AlwaysFalse(), *terms)

    def files(self, snapshot_id: int) -> list[FileScanTask]:
        """Return the data files of a snapshot that hold rows to erase."""
        tasks = self._table.scan(row_filter=self._filter, snapshot_id=snapshot_id).plan_files()
        tasks_to_rewrite = []
        for task in tasks:
            path = task.file.file_path
            if path not in self.matches:
                rows = file_scans.read_rows(self._table, [task])
                self.matches[path] = pc.sum(match_rows(rows, self._keys)).as_py() or 0
            if self.matches[path]:
                tasks_to_rewrite.append(task)
        return tasks_to_rewrite

    def change(self, tasks: Sequence[FileScanTask]) -> tuple[list[DataFile], list[WrittenFile]]:
        """Return the files to remove and those to add; write the latter unless already written."""
        new_files = []
        for task in tasks:
            path = task.file.file_path
            if path not in self.rewritten:
                rows = file_scans.read_rows(self._table, [task])
                remaining = rows.filter(pc.invert(match_rows(rows, self._keys)))
                self.rewritten[path] = write_tables(
                    self._warehouse.write_spec(),
                    {self._table.name()[-1]: remaining},
                    self._attempt,
                    len(self.rewritten),
                )
            new_files += self.rewritten[path]
        return [t.file for t in tasks], new_files


def match_rows(rows: pa.Table, keys: RowsToErase) -> pa.ChunkedArray:
    """Return a mask of the rows that match any key."""
    matches = pa.chunked_array([pa.repeat(False, rows.num_rows)])
    for key, values in keys.items():
        names = _key_columns(key)
        if len(names) == 1:
            column = rows[names[0]]
            matches_key = pc.is_in(column, pa.array(list(values), column.type))
        else:
            tuples = set(values)
            rows_as_tuples = zip(*(rows[n].to_pylist() for n in names), strict=True)
            matches_key = pa.chunked_array(
                [pa.array([t in tuples for t in rows_as_tuples], pa.bool_())]
            )
        matches = pc.or_(matches, pc.fill_null(matches_key, False))
    return matches


def _key_columns(key: Key) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key


def _commit_changes(
    warehouse: Warehouse,
    table: IcebergTable,
    changes: Mapping[str, tuple[Collection[DataFile], Sequence[WrittenFile]]],
    attempt: str,
) -> IcebergTable:
    name = table.name()[-1]
    snapshots_before = {s.snapshot_id for s in table.metadata.snapshots}
    unchanged = {ref.snapshot_id for n, ref in table.metadata.refs.items() if n not in changes}
    summary = {ATTEMPT: attempt, OPERATION: "erase"}
    committed = retry.commit_once(
        warehouse,
        name,
        attempt,
        lambda now: pyiceberg_private.replace_everywhere(
            now, changes, summary, lambda: commit_id(attempt)
        ),
        lambda now: (
            not {s.snapshot_id for s in now.metadata.snapshots} & (snapshots_before - unchanged)
        ),
    )
    version_hints.refresh_hint(warehouse.files, committed, locked=is_local(warehouse.path))
    return committed


def _delete_unreferenced(
    warehouse: Warehouse, table: IcebergTable, files_before: Sequence[Entry]
) -> int:
    """Delete the files from before the erasure that nothing refers to now; return their number."""
    in_use = referenced_files(table).all()
    unused = tuple(e for e in files_before if e.location not in in_use)
    orphan_files.delete_files(warehouse.files, unused)
    deleted = {e.location for e in unused}
    orphan_files.record_orphans(
        warehouse, [n for n in orphan_files.pending_orphans(warehouse) if n not in deleted]
    )
    return len(unused)

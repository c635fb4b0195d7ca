"""Erasure: rows out of every snapshot, every release and every file on disk.

Iceberg keeps the past: a row that a new snapshot no longer shows is still in the old data file.
So every data file that holds such a row, in the present or in any release, is written anew
without it; all other history is dropped; and what nothing refers to then is deleted at once, with
no grace period. A query that runs meanwhile fails.
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
from lakehouse.storage.commits.references import references
from lakehouse.storage.io.data_files import WrittenFile, write_tables
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import Entry, is_local, join
from lakehouse.storage.io.locks import exclusive
from lakehouse.storage.maintenance import orphan_files, release_records
from lakehouse.storage.maintenance.recovery import lease_attempt, recover
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.metadata.snapshots import ATTEMPT
from lakehouse.storage.warehouse import Warehouse

Key = str | tuple[str, ...]
"""A column, or several columns whose values are looked at together."""

Unwanted = Mapping[Key, Collection[object]]
"""Values, or tuples of values, by key. A row goes when it matches any key that its table has."""


@dataclass(frozen=True)
class Erased:
    """What erasure did to one table.

    Attributes:
        table: Name of the table.
        rows: Rows removed from the present.
        rewritten: Data files written anew, or dropped because no row was left.
        deleted: Files deleted from the storage.
    """

    table: str
    rows: int
    rewritten: int
    deleted: int


def erase(
    warehouse: Warehouse,
    unwanted: Unwanted | Callable[[], Unwanted],
    tables: Collection[str] | None = None,
) -> list[Erased]:
    """Remove rows so that no file of the warehouse holds them any more.

    Args:
        warehouse: The warehouse; no ingest may be running.
        unwanted: For instance ``{"patient_id": {...}, "old_patient_id": {...},
            ("file_id", "record_ordinal"): {("ab...", 3)}}``; or what returns it, called when no
            ingest is running and none can commit.
        tables: Only these; None for all that have the columns.

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
    with lease_attempt(warehouse, "erase") as attempt, exclusive(warehouse.state, "commit"):
        names = warehouse.tables() if tables is None else sorted(tables)
        # Listed before the living are asked: an ingest that begins from here on writes files that
        # nothing refers to yet, and those are in no list.
        listed = {name: warehouse.files.list(warehouse.location(name)) for name in names}
        require_idle(warehouse, attempt)
        wanted = unwanted() if callable(unwanted) else unwanted
        reports = [_erase(warehouse, name, wanted, attempt, listed[name]) for name in names]
        failpoint("erase-before-releases")
        release_records.repair_tags(warehouse, attempt)
    return [r for r in reports if r.rewritten or r.deleted]


def plan_location(warehouse: Warehouse) -> str:
    """Return where the erasure of a patient keeps its plan until it is done."""
    return join(warehouse.state, "forget.json")


def require_idle(warehouse: Warehouse, attempt: str = "") -> None:
    """Refuse to go on while others are at work.

    Args:
        warehouse: The warehouse.
        attempt: One's own attempt.

    Raises:
        CommitError: An ingest or maintenance is running.
    """
    if orphan_files.active_attempts(warehouse, without=attempt)[0]:
        raise CommitError(
            "An ingest or maintenance is running in this warehouse.",
            "Wait for it to end, then run the same command again.",
        )


def _erase(
    warehouse: Warehouse, name: str, unwanted: Unwanted, attempt: str, listed: Sequence[Entry]
) -> Erased:
    table = warehouse.iceberg(name)
    columns = set(table.schema().column_names)
    keys = {k: v for k, v in unwanted.items() if set(_names(k)) <= columns and v}
    if not keys:
        return Erased(name, 0, 0, 0)
    work = _Work(warehouse, table, keys, attempt)
    refs = {name: ref.snapshot_id for name, ref in table.metadata.refs.items()}
    found = {s.snapshot_id: work.files(s.snapshot_id) for s in table.metadata.snapshots}
    if any(found.values()):
        changes = {ref: work.change(found[i]) for ref, i in refs.items() if found[i]}
        failpoint(f"erase-written:{name}")
        table = _commit(warehouse, table, changes, attempt)
        failpoint(f"erase-committed:{name}")
    # Also when nothing was found: a run that was killed here left files that nothing refers to.
    deleted = _delete_unused(warehouse, table, listed)
    present = found.get(refs.get(MAIN_BRANCH, -1), [])
    gone = sum(work.matches[t.file.file_path] for t in present)
    return Erased(name, gone, len(work.rewritten), deleted)


class _Work:
    """The data files of one table that hold unwanted rows, and what takes their place.

    Attributes:
        matches: Unwanted rows, by data file looked into.
        rewritten: New files, by the data file they replace.
    """

    def __init__(
        self, warehouse: Warehouse, table: IcebergTable, keys: Unwanted, attempt: str
    ) -> None:
        self.matches: dict[str, int] = {}
        self.rewritten: dict[str, list[WrittenFile]] = {}
        self._warehouse = warehouse
        self._table = table
        self._keys = keys
        self._attempt = attempt
        terms = [
            In(_names(k)[0], {v[0] if isinstance(v, tuple) else v for v in vs})
            for k, vs in keys.items()
        ]
        self._filter: BooleanExpression = Or(AlwaysFalse(), *terms)

    def files(self, snapshot_id: int) -> list[FileScanTask]:
        """Return the data files of a snapshot that hold unwanted rows."""
        tasks = self._table.scan(row_filter=self._filter, snapshot_id=snapshot_id).plan_files()
        held = []
        for task in tasks:
            path = task.file.file_path
            if path not in self.matches:
                rows = file_scans.read(self._table, [task])
                self.matches[path] = pc.sum(matching(rows, self._keys)).as_py() or 0
            if self.matches[path]:
                held.append(task)
        return held

    def change(self, tasks: Sequence[FileScanTask]) -> tuple[list[DataFile], list[WrittenFile]]:
        """Return which files go and which come, writing the latter where it is not done yet."""
        added = []
        for task in tasks:
            path = task.file.file_path
            if path not in self.rewritten:
                rows = file_scans.read(self._table, [task])
                kept = rows.filter(pc.invert(matching(rows, self._keys)))
                self.rewritten[path] = write_tables(
                    self._warehouse.write_spec(),
                    {self._table.name()[-1]: kept},
                    self._attempt,
                    len(self.rewritten),
                )
            added += self.rewritten[path]
        return [t.file for t in tasks], added


def matching(rows: pa.Table, keys: Unwanted) -> pa.ChunkedArray:
    """Return for each row whether it matches any key."""
    found = pa.chunked_array([pa.repeat(False, rows.num_rows)])
    for key, values in keys.items():
        names = _names(key)
        if len(names) == 1:
            column = rows[names[0]]
            hit = pc.is_in(column, pa.array(list(values), column.type))
        else:
            wanted = set(values)
            together = zip(*(rows[n].to_pylist() for n in names), strict=True)
            hit = pa.chunked_array([pa.array([t in wanted for t in together], pa.bool_())])
        found = pc.or_(found, pc.fill_null(hit, False))
    return found


def _names(key: Key) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key


def _commit(
    warehouse: Warehouse,
    table: IcebergTable,
    changes: Mapping[str, tuple[Collection[DataFile], Sequence[WrittenFile]]],
    attempt: str,
) -> IcebergTable:
    name = table.name()[-1]
    old = {s.snapshot_id for s in table.metadata.snapshots}
    kept = {ref.snapshot_id for n, ref in table.metadata.refs.items() if n not in changes}
    summary = {ATTEMPT: attempt, OPERATION: "erase"}
    done = retry.commit(
        warehouse,
        name,
        attempt,
        lambda now: pyiceberg_private.erase(now, changes, summary, lambda: commit_id(attempt)),
        lambda now: not {s.snapshot_id for s in now.metadata.snapshots} & (old - kept),
    )
    version_hints.refresh(warehouse.files, done, locked=is_local(warehouse.path))
    return done


def _delete_unused(warehouse: Warehouse, table: IcebergTable, listed: Sequence[Entry]) -> int:
    """Delete what was there at the beginning and is of no use now."""
    used = references(table).all()
    unused = tuple(e for e in listed if e.location not in used)
    orphan_files.delete(warehouse.files, unused)
    gone = {e.location for e in unused}
    orphan_files.record_orphans(
        warehouse, [n for n in orphan_files.pending_orphans(warehouse) if n not in gone]
    )
    return len(unused)

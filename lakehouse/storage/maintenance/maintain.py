"""Upkeep: compact small files, expire old snapshots, delete what nothing uses any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.refs import MAIN_BRANCH

from lakehouse.errors import UserError
from lakehouse.storage.commits import compaction, file_scans, pyiceberg_private, retry
from lakehouse.storage.commits.references import references
from lakehouse.storage.io.data_files import TARGET_BYTES
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import is_local
from lakehouse.storage.io.locks import exclusive
from lakehouse.storage.maintenance import orphan_files
from lakehouse.storage.maintenance.recovery import lease_attempt, recover
from lakehouse.storage.maintenance.release_records import pinned_snapshots
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.metadata.snapshots import ATTEMPT
from lakehouse.storage.transactions import leases
from lakehouse.storage.warehouse import Warehouse

KEEP = 20
"""Snapshots of each table that stay when nothing is said."""

GRACE = timedelta(hours=24)
"""How long a file that nothing uses waits for queries that began before."""


@dataclass(frozen=True)
class Figures:
    """What a table consists of.

    Attributes:
        files: Data files of the current snapshot.
        bytes: Their size.
        rows: Their rows.
        snapshots: Snapshots in the history.
    """

    files: int
    bytes: int
    rows: int
    snapshots: int


@dataclass(frozen=True)
class TableReport:
    """What maintenance did, or in a dry run would do, to one table.

    Attributes:
        table: Name of the table.
        before: Before it.
        after: After it; in a dry run what is expected, with the bytes as before.
        deleted: Unused files that were deleted.
        deleted_bytes: Bytes that this freed; in a dry run without those of files that the run
            itself would make and delete.
        waiting: Unused files that wait for their grace period to end.
        hint_was_stale: The version hint had to be mended.
    """

    table: str
    before: Figures
    after: Figures
    deleted: int
    deleted_bytes: int
    waiting: int
    hint_was_stale: bool


@dataclass(frozen=True)
class MaintenanceReport:
    """What maintenance did.

    Attributes:
        tables: One report per table.
        recovered: Ids of ingests that had been left unfinished and were completed.
        dry_run: Nothing was changed.
    """

    tables: tuple[TableReport, ...]
    recovered: tuple[str, ...]
    dry_run: bool


def maintain(
    warehouse: Warehouse,
    *,
    keep: int = KEEP,
    target_size: int = TARGET_BYTES,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    tables: Iterable[str] | None = None,
) -> MaintenanceReport:
    """Make a warehouse small and quick again; ingests and queries may go on meanwhile.

    Args:
        warehouse: The warehouse.
        keep: Newest snapshots of each table that stay; those of releases and saved cohorts
            stay in any case.
        target_size: Bytes of a data file.
        grace: How long a file that nothing uses stays, for queries that began before.
        dry_run: Only say what would be done.
        tables: Only these; None for all.

    Raises:
        UserError: An argument is out of range.
        CommitError: A table could not be committed; running it again goes on.

    Examples:
        ::

            report = maintain(warehouse, keep=10, dry_run=True)
            for table in report.tables:
                print(table.table, table.before.files, "->", table.after.files)
    """
    if keep < 1 or target_size < 1 or grace < timedelta():
        raise UserError("`keep` and the target size are at least 1; the grace is not negative.")
    names = warehouse.tables() if tables is None else list(tables)
    if dry_run:
        return MaintenanceReport(
            tuple(_expected(warehouse, n, keep, target_size, grace) for n in names), (), True
        )
    recovered = recover(warehouse)
    with lease_attempt(warehouse, "maintain") as attempt:
        reports = [_table(warehouse, n, attempt, keep, target_size, grace) for n in names]
    return MaintenanceReport(tuple(reports), tuple(recovered), False)


def _table(
    warehouse: Warehouse, name: str, attempt: str, keep: int, target: int, grace: timedelta
) -> TableReport:
    table = warehouse.iceberg(name)
    stale = version_hints.refresh(warehouse.files, table)
    before = figures(table)
    if before.snapshots:
        compaction.compact(warehouse, name, attempt, target)
        table = _expire(warehouse, name, attempt, keep)
    noted = orphan_files.pending_orphans(warehouse)
    found = orphan_files.find_orphans(warehouse, name, noted, grace.total_seconds(), attempt)
    folder = warehouse.location(name) + "/"
    orphan_files.record_orphans(
        warehouse,
        [n for n in noted if not n.startswith(folder)] + [e.location for e in found.waiting],
    )
    failpoint(f"maintain-noted:{name}")
    freed = orphan_files.delete(warehouse.files, found.due)
    waiting = len(found.waiting) - len(found.due)
    return TableReport(name, before, figures(table), len(found.due), freed, waiting, stale)


def figures(table: IcebergTable) -> Figures:
    """Return what a table consists of."""
    files = [t.file for t in file_scans.plan(table)]
    return Figures(
        len(files),
        sum(f.file_size_in_bytes for f in files),
        sum(f.record_count for f in files),
        len(table.metadata.snapshots),
    )


def expirable(warehouse: Warehouse, table: IcebergTable, keep: int, coming: int = 0) -> list[int]:
    """Return the snapshots beyond the newest ``keep`` that nothing needs.

    Needed are those of releases and saved cohorts, and those that tell that an ingest in progress
    has reached this table.

    Args:
        warehouse: The warehouse.
        table: The table.
        keep: How many stay.
        coming: How many will be added before, and stay.
    """
    ordered = sorted(table.metadata.snapshots, key=lambda s: s.sequence_number or 0)
    refs = table.metadata.refs.items()
    needed = {ref.snapshot_id for name, ref in refs if not (coming and name == MAIN_BRANCH)}
    needed |= pinned_snapshots(warehouse, table.name()[-1])
    found = leases.attempts(warehouse.files, warehouse.attempts)
    unfinished = {a.id for a in found if leases.JOURNAL in a.parts}
    return [
        s.snapshot_id
        for s in ordered[: max(0, len(ordered) + coming - keep)]
        if s.snapshot_id not in needed
        and (s.summary is None or s.summary.get(ATTEMPT) not in unfinished)
    ]


def _expire(warehouse: Warehouse, name: str, attempt: str, keep: int) -> IcebergTable:
    with exclusive(warehouse.state, "commit"):
        table = retry.commit(
            warehouse,
            name,
            attempt,
            lambda now: pyiceberg_private.expire(now, expirable(warehouse, now, keep)),
            lambda now: not expirable(warehouse, now, keep),
        )
        failpoint(f"maintain-expired:{name}")
        version_hints.refresh(warehouse.files, table, locked=is_local(warehouse.path))
    return table


def _expected(
    warehouse: Warehouse, name: str, keep: int, target: int, grace: timedelta
) -> TableReport:
    table = warehouse.iceberg(name)
    before = figures(table)
    planned = compaction.plan(table, target)
    coming = min(keep, 2) if planned.groups else 0  # a replacement makes two snapshots
    expired = expirable(warehouse, table, keep, coming) if before.snapshots else []
    after = Figures(
        before.files - planned.n_files + len(planned.groups),
        before.bytes,
        before.rows,
        before.snapshots + coming - len(expired),
    )
    used = _used_then(table, expired, planned)
    noted = orphan_files.pending_orphans(warehouse)
    found = orphan_files.find_orphans(warehouse, name, noted, grace.total_seconds(), used=used)
    # With one snapshot to keep, the first of the two goes again: its list, and its manifest of
    # what was removed.
    passing = 2 * (planned.groups != () and keep == 1)
    at_once = grace == timedelta()
    stem = version_hints.stem(table.metadata_location)
    return TableReport(
        name,
        before,
        after,
        len(found.due) + passing * at_once,
        sum(e.size for e in found.due),
        len(found.waiting) - len(found.due) + passing * (not at_once),
        version_hints.current(warehouse.files, table.location()) != stem,
    )


def _used_then(table: IcebergTable, expired: Collection[int], planned: compaction.Plan) -> set[str]:
    """Return what the table will refer to of the files it has now."""
    kept = [s for s in table.metadata.snapshots if s.snapshot_id not in expired]
    used = references(table, kept).all()
    current = table.current_snapshot()
    if planned.groups and current is not None:
        replaced = {task.file.file_path for group in planned.groups for task in group}
        for manifest in current.manifests(table.io):
            files = {e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io)}
            used |= files - replaced
            if not files & replaced:
                used.add(manifest.manifest_path)
    return used

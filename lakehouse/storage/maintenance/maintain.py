"""Maintenance: compacts small files, expires old snapshots and deletes orphan files."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.refs import MAIN_BRANCH

from lakehouse.errors import UserError
from lakehouse.storage.commits import compaction, file_scans, pyiceberg_private, retry
from lakehouse.storage.commits.references import referenced_files
from lakehouse.storage.io.data_files import TARGET_BYTES
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import is_local
from lakehouse.storage.io.locks import hold_lock
from lakehouse.storage.maintenance import orphan_files
from lakehouse.storage.maintenance.recovery import lease_attempt, recover
from lakehouse.storage.maintenance.release_records import pinned_snapshots
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.metadata.snapshots import ATTEMPT
from lakehouse.storage.transactions import leases
from lakehouse.storage.warehouse import Warehouse

KEEP_SNAPSHOTS = 20
"""Snapshots of each table that stay by default."""

GRACE = timedelta(hours=24)
"""How long an orphan file stays for queries that began before."""


@dataclass(frozen=True)
class TableFigures:
    """Size of a table in files, bytes, rows and snapshots.

    Attributes:
        files: Data files of the current snapshot.
        bytes: Size of those files.
        rows: Rows in those files.
        snapshots: Snapshots in the history.
    """

    files: int
    bytes: int
    rows: int
    snapshots: int


@dataclass(frozen=True)
class TableReport:
    """What maintenance did to one table, or in a dry run would do.

    Attributes:
        table: Name of the table.
        before: Size before maintenance.
        after: Size after maintenance; in a dry run an estimate, with the bytes as before.
        deleted: Number of orphan files that it deleted.
        deleted_bytes: Bytes of those files; in a dry run without the files that a real run
            would itself write and delete.
        waiting: Number of orphan files whose grace period has not ended.
        hint_was_stale: Whether it corrected the version hint.
    """

    table: str
    before: TableFigures
    after: TableFigures
    deleted: int
    deleted_bytes: int
    waiting: int
    hint_was_stale: bool


@dataclass(frozen=True)
class MaintenanceReport:
    """What maintenance did to a warehouse.

    Attributes:
        tables: One report per table.
        recovered: Ids of interrupted ingests that it completed.
        dry_run: Whether it only reported what it would do.
    """

    tables: tuple[TableReport, ...]
    recovered: tuple[str, ...]
    dry_run: bool


def maintain(
    warehouse: Warehouse,
    *,
    keep: int = KEEP_SNAPSHOTS,
    target_size: int = TARGET_BYTES,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    tables: Iterable[str] | None = None,
) -> MaintenanceReport:
    """Compact data files, expire old snapshots and delete orphan files of a warehouse.

    Ingests and queries may go on meanwhile.

    Args:
        warehouse: The warehouse.
        keep: Newest snapshots of each table that stay; those of releases and saved cohorts
            stay in any case.
        target_size: Bytes of a data file.
        grace: How long an orphan file stays for queries that began before.
        dry_run: Only report what a run would do.
        tables: Names of tables; None for all.

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
        raise UserError(
            "`keep` or the target size is below 1, or the grace is negative.",
            "Give at least 1 snapshot, at least 1 byte and a grace of 0 or more.",
        )
    names = warehouse.tables() if tables is None else list(tables)
    if dry_run:
        return MaintenanceReport(
            tuple(_expected_report(warehouse, n, keep, target_size, grace) for n in names), (), True
        )
    recovered = recover(warehouse)
    with lease_attempt(warehouse, "maintain") as attempt:
        reports = [_maintain_table(warehouse, n, attempt, keep, target_size, grace) for n in names]
    return MaintenanceReport(tuple(reports), tuple(recovered), False)


def _maintain_table(
    warehouse: Warehouse, name: str, attempt: str, keep: int, target: int, grace: timedelta
) -> TableReport:
    table = warehouse.iceberg(name)
    stale = version_hints.refresh_hint(warehouse.files, table)
    before = table_figures(table)
    if before.snapshots:
        compaction.compact(warehouse, name, attempt, target)
        table = _expire(warehouse, name, attempt, keep)
    pending = orphan_files.pending_orphans(warehouse)
    orphans = orphan_files.find_orphans(warehouse, name, pending, grace.total_seconds(), attempt)
    folder = warehouse.location(name) + "/"
    orphan_files.record_orphans(
        warehouse,
        [n for n in pending if not n.startswith(folder)] + [e.location for e in orphans.waiting],
    )
    failpoint(f"maintain-noted:{name}")
    freed = orphan_files.delete_files(warehouse.files, orphans.due)
    waiting = len(orphans.waiting) - len(orphans.due)
    return TableReport(name, before, table_figures(table), len(orphans.due), freed, waiting, stale)


def table_figures(table: IcebergTable) -> TableFigures:
    """Return the size of a table in files, bytes, rows and snapshots."""
    files = [t.file for t in file_scans.plan_files(table)]
    return TableFigures(
        len(files),
        sum(f.file_size_in_bytes for f in files),
        sum(f.record_count for f in files),
        len(table.metadata.snapshots),
    )


def expirable(warehouse: Warehouse, table: IcebergTable, keep: int, coming: int = 0) -> list[int]:
    """Return the ids of the snapshots beyond the newest ``keep`` that nothing needs.

    Releases and saved cohorts need theirs. A snapshot also stays when it tells that an unfinished
    ingest has reached this table.

    Args:
        warehouse: The warehouse.
        table: The table.
        keep: Number of snapshots that stay.
        coming: Number of snapshots that a run adds first and that stay.
    """
    ordered = sorted(table.metadata.snapshots, key=lambda s: s.sequence_number or 0)
    refs = table.metadata.refs.items()
    needed = {ref.snapshot_id for name, ref in refs if not (coming and name == MAIN_BRANCH)}
    needed |= pinned_snapshots(warehouse, table.name()[-1])
    attempts = leases.list_attempts(warehouse.files, warehouse.attempts)
    unfinished = {a.id for a in attempts if leases.JOURNAL in a.parts}
    return [
        s.snapshot_id
        for s in ordered[: max(0, len(ordered) + coming - keep)]
        if s.snapshot_id not in needed
        and (s.summary is None or s.summary.get(ATTEMPT) not in unfinished)
    ]


def _expire(warehouse: Warehouse, name: str, attempt: str, keep: int) -> IcebergTable:
    with hold_lock(warehouse.state, "commit"):
        table = retry.commit_once(
            warehouse,
            name,
            attempt,
            lambda now: pyiceberg_private.expire_snapshots(now, expirable(warehouse, now, keep)),
            lambda now: not expirable(warehouse, now, keep),
        )
        failpoint(f"maintain-expired:{name}")
        version_hints.refresh_hint(warehouse.files, table, locked=is_local(warehouse.path))
    return table


def _expected_report(
    warehouse: Warehouse, name: str, keep: int, target: int, grace: timedelta
) -> TableReport:
    table = warehouse.iceberg(name)
    before = table_figures(table)
    compaction_plan = compaction.plan_compaction(table, target)
    n_new_snapshots = (
        min(keep, 2) if compaction_plan.groups else 0
    )  # a replacement makes two snapshots
    expired_ids = expirable(warehouse, table, keep, n_new_snapshots) if before.snapshots else []
    after = TableFigures(
        before.files - compaction_plan.n_files + len(compaction_plan.groups),
        before.bytes,
        before.rows,
        before.snapshots + n_new_snapshots - len(expired_ids),
    )
    in_use = _files_in_use_after(table, expired_ids, compaction_plan)
    pending = orphan_files.pending_orphans(warehouse)
    orphans = orphan_files.find_orphans(
        warehouse, name, pending, grace.total_seconds(), in_use=in_use
    )
    # With one snapshot to keep, a run deletes the first of its two again: its manifest list and
    # its manifest of removed files.
    n_transient = 2 * (compaction_plan.groups != () and keep == 1)
    without_grace = grace == timedelta()
    stem = version_hints.metadata_stem(table.metadata_location)
    return TableReport(
        name,
        before,
        after,
        len(orphans.due) + n_transient * without_grace,
        sum(e.size for e in orphans.due),
        len(orphans.waiting) - len(orphans.due) + n_transient * (not without_grace),
        version_hints.read_stem(warehouse.files, table.location()) != stem,
    )


def _files_in_use_after(
    table: IcebergTable, expired_ids: Collection[int], compaction_plan: compaction.CompactionPlan
) -> set[str]:
    """Return which of its present files a table refers to after compaction and expiry."""
    remaining = [s for s in table.metadata.snapshots if s.snapshot_id not in expired_ids]
    in_use = referenced_files(table, remaining).all()
    current = table.current_snapshot()
    if compaction_plan.groups and current is not None:
        replaced_files = {task.file.file_path for group in compaction_plan.groups for task in group}
        for manifest in current.manifests(table.io):
            files = {e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io)}
            in_use |= files - replaced_files
            if not files & replaced_files:
                in_use.add(manifest.manifest_path)
    return in_use

"""Creates, lists, drops and compares releases: one snapshot of every table, kept for ever."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from lakehouse.errors import UserError, did_you_mean
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.locks import hold_lock
from lakehouse.storage.maintenance import release_records
from lakehouse.storage.maintenance.recovery import lease_attempt, recover
from lakehouse.storage.maintenance.release_records import Release
from lakehouse.storage.maintenance.release_records import list_releases as list_releases
from lakehouse.storage.maintenance.snapshot_diff import count_differences
from lakehouse.storage.warehouse import Warehouse

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class TableChange:
    """How many rows of one table differ between two releases.

    Attributes:
        table: Name of the table.
        n_added: Rows that only the later release has.
        n_removed: Rows that only the earlier release has.
    """

    table: str
    n_added: int
    n_removed: int


def create_release(warehouse: Warehouse, name: str) -> Release:
    """Create a release, which pins the current snapshot of every table.

    Args:
        warehouse: The warehouse.
        name: Letters, digits, dot, dash and underscore; ``2026-q1``.

    Raises:
        UserError: A release of that name exists, or the name has other characters.

    Examples:
        ::

            create_release(warehouse, "2026-q1")
            lakehouse.open(path, as_of="2026-q1")
    """
    if not _NAME.fullmatch(name) or name == "main":
        raise UserError(
            "A release's name has letters, digits, dot, dash and underscore, up to 64.",
            "Take a name such as 2026-q1.",
        )
    recover(warehouse)
    with lease_attempt(warehouse, "release") as attempt, hold_lock(warehouse.state, "commit"):
        if any(r.name == name for r in list_releases(warehouse)):
            raise UserError(f"There is a release {name} already.", "Take another name.")
        tables = [warehouse.iceberg(t) for t in warehouse.tables()]
        current = {t.name()[-1]: t.current_snapshot() for t in tables}
        release = Release(
            name,
            datetime.now(UTC).isoformat(timespec="seconds"),
            {n: s.snapshot_id if s else None for n, s in current.items()},
            {n: release_records.rows_in(s) for n, s in current.items()},
        )
        release_records.write_record(warehouse, release)
        failpoint("release-recorded")
        release_records.tag_release(warehouse, release, attempt)
    return release


def find_release(warehouse: Warehouse, name: str) -> Release:
    """Return the release of a name.

    Raises:
        UserError: No release has that name.
    """
    releases = {r.name: r for r in list_releases(warehouse)}
    if name not in releases:
        raise UserError(
            f"There is no release named {name}.",
            did_you_mean(name, releases) or "Run `lakehouse release` to list them.",
        )
    return releases[name]


def drop_release(warehouse: Warehouse, name: str) -> None:
    """Drop a release; maintenance then expires the snapshots that only it needed.

    Raises:
        UserError: No release has that name.
    """
    release = find_release(warehouse, name)
    with lease_attempt(warehouse, "release") as attempt, hold_lock(warehouse.state, "commit"):
        # The record goes first: after a kill the remaining tags pin too much, never too little.
        warehouse.files.delete(release_records.record_location(warehouse, name))
        for table in release.snapshots:
            release_records.move_tag(warehouse, table, name, None, attempt)


def diff_releases(warehouse: Warehouse, earlier: str, later: str) -> list[TableChange]:
    """Count, per table, the rows that only one of two releases has.

    The comparison takes the rows as a multiset, so that compaction makes no difference.

    Raises:
        UserError: One of the releases does not exist.
    """
    one, other = find_release(warehouse, earlier), find_release(warehouse, later)
    changes = []
    for table in sorted(one.snapshots.keys() | other.snapshots.keys()):
        before, after = one.snapshots.get(table), other.snapshots.get(table)
        n_added, n_removed = count_differences(warehouse, table, before, after)
        changes.append(TableChange(table, n_added, n_removed))
    return changes

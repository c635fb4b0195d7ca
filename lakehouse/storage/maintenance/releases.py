"""Releases: one snapshot of every table under one name, kept for ever."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from lakehouse.errors import UserError, did_you_mean
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.locks import exclusive
from lakehouse.storage.maintenance import release_records
from lakehouse.storage.maintenance.recovery import lease_attempt, recover
from lakehouse.storage.maintenance.release_records import Release
from lakehouse.storage.maintenance.release_records import list_releases as list_releases
from lakehouse.storage.maintenance.snapshot_diff import differences
from lakehouse.storage.warehouse import Warehouse

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Change:
    """What became of one table between two releases.

    Attributes:
        table: Name of the table.
        added: Rows that only the later release has.
        removed: Rows that only the earlier release has.
    """

    table: str
    added: int
    removed: int


def create_release(warehouse: Warehouse, name: str) -> Release:
    """Pin the current snapshot of every table.

    Args:
        warehouse: The warehouse.
        name: Letters, digits, dot, dash and underscore; ``2026-q1``.

    Raises:
        UserError: The name is taken or has other characters.

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
    with lease_attempt(warehouse, "release") as attempt, exclusive(warehouse.state, "commit"):
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
        release_records.write(warehouse, release)
        failpoint("release-recorded")
        release_records.tag(warehouse, release, attempt)
    return release


def release_named(warehouse: Warehouse, name: str) -> Release:
    """Return a release.

    Raises:
        UserError: There is none of that name.
    """
    known = {r.name: r for r in list_releases(warehouse)}
    if name not in known:
        raise UserError(
            f"There is no release named {name}.",
            did_you_mean(name, known) or "`lakehouse release` lists them.",
        )
    return known[name]


def drop_release(warehouse: Warehouse, name: str) -> None:
    """Let go of a release; maintenance then expires what only it kept.

    Raises:
        UserError: There is none of that name.
    """
    release = release_named(warehouse, name)
    with lease_attempt(warehouse, "release") as attempt, exclusive(warehouse.state, "commit"):
        # The record goes first: what is left of the tags then pins too much, never too little.
        warehouse.files.delete(release_records.location(warehouse, name))
        for table in release.snapshots:
            release_records.move_tag(warehouse, table, name, None, attempt)


def diff_releases(warehouse: Warehouse, earlier: str, later: str) -> list[Change]:
    """Count, per table, the rows that one release has and the other has not.

    Compared are the rows themselves, as a multiset, so that compaction changes nothing.

    Raises:
        UserError: There is no such release.
    """
    one, other = release_named(warehouse, earlier), release_named(warehouse, later)
    changes = []
    for table in sorted(one.snapshots.keys() | other.snapshots.keys()):
        before, after = one.snapshots.get(table), other.snapshots.get(table)
        added, removed = differences(warehouse, table, before, after)
        changes.append(Change(table, added, removed))
    return changes

"""Views whose rows a session keeps: few rows, dear to find, and read by many other views.

Which statements of results a later one took the place of takes a look at every observation. A
score that reads vital signs and several results would look again for each of them, and so would
the next query. A session looks once, and again when a table that the answer came from has changed.

Rows and tables have to be of one moment: a correction that is read with the rows kept before it
would stand beside what it corrects. So the tables that the kept rows came from are pinned to the
snapshots that were read, and both change in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from lakehouse.query.place import EMPTY, Place
from lakehouse.query.scans import table_statements
from lakehouse.query.views import View, closure, literal
from lakehouse.storage.files import is_local, join
from lakehouse.tables import load_tables

KEPT = "superseded_results"
"""The view that is kept."""

SCHEMA = "kept"
"""Schema in which its rows lie."""


class Kept:
    """The kept rows of one connection.

    Examples:
        >>> kept = Kept(con, place, place.views)  # doctest: +SKIP
        >>> kept.renew({"lab_results"})  # looks at every observation  # doctest: +SKIP
        >>> kept.renew({"sofa"})  # nothing was ingested: costs a look at some small files
        ... # doctest: +SKIP
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, place: Place, views: Mapping[str, View]
    ) -> None:
        self._con, self._place, self._views = con, place, views
        tables = load_tables().keys()
        below = closure([KEPT], self._views) if KEPT in self._views else []
        self._tables = sorted({d for n in below for d in self._views[n].depends_on} & tables)
        self._versions: dict[str, str] | None = None

    def renew(self, names: Iterable[str]) -> None:
        """Make the kept rows those of now, when a query of these names needs them or their tables.

        Everything that the names stand on exists already.

        Raises:
            duckdb.Error: The tables cannot be read.
        """
        order = set(closure(names, self._views))
        reads = {d for n in order for d in self._views[n].depends_on} | set(names)
        if KEPT not in order and (self._versions is None or reads.isdisjoint(self._tables)):
            return
        versions = self._current()
        if versions == self._versions:
            return
        self._con.execute("BEGIN")
        try:
            self._pin(versions)
            self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            self._con.execute(f"CREATE OR REPLACE TABLE {SCHEMA}.{KEPT} AS {self._views[KEPT].sql}")
            self._con.execute(f"CREATE OR REPLACE VIEW {KEPT} AS FROM {SCHEMA}.{KEPT}")
            self._con.execute("COMMIT")
        except BaseException:
            self._con.execute("ROLLBACK")
            raise
        self._versions = versions

    def _pin(self, versions: Mapping[str, str]) -> None:
        pins = {
            name: _snapshot(self._con, self._place.locations[name], version)
            for name, version in versions.items()
        }
        pinned = replace(self._place, pins={**self._place.pins, **pins})
        for name in pins:
            self._con.execute(f'DROP VIEW "{name}"')
            for statement in table_statements(self._con, load_tables()[name], pinned):
                self._con.execute(statement)

    def _current(self) -> dict[str, str]:
        """Return the version of each table that is not pinned for good; none for an absent one."""
        hints = {
            name: join(self._place.locations[name], "metadata", "version-hint.text")
            for name in self._tables
            if name in self._place.locations and name not in self._place.pins
        }
        near = {n: Path(hint) for n, hint in hints.items() if is_local(hint)}
        found = {n: path.read_text().strip() for n, path in near.items() if path.exists()}
        far = {hint: name for name, hint in hints.items() if name not in near}
        if far:
            listed = ", ".join(map(literal, far))
            rows = self._con.execute(f"SELECT filename, content FROM read_text([{listed}])")
            found |= {far[hint]: text.strip() for hint, text in rows.fetchall()}
        return found


def _snapshot(con: duckdb.DuckDBPyConnection, location: str, version: str) -> int:
    """Return the newest snapshot that a version of a table's metadata has."""
    rows = con.execute(
        f"SELECT snapshot_id FROM iceberg_snapshots({literal(location)}, "
        f"version = {literal(version)}) ORDER BY sequence_number DESC LIMIT 1"
    ).fetchall()
    return int(rows[0][0]) if rows else EMPTY

"""Views whose rows a session keeps: few rows, dear to find, and read by many other views.

Which statements of results a later one took the place of takes a look at every observation. A
score that reads vital signs and several results would look again for each of them, and so would
the next query. A session looks once, and again when a table that the answer came from has changed.

Who was merged into whom is followed through every link, and asked by everything that names a
patient: a query over several such views would follow them, and be planned, many times.

What conditions each diagnosis code belongs to is found with one look at the codes, and is a few
rows; but DuckDB takes it for millions, and would build the hash table of a join with it from all
diagnoses. Of rows that are kept it knows the number.

What SOFA and qSOFA ask of the results, and what BMI and the cardiovascular inputs do, is a tenth of
the observations, suspected infections are few, and diagnoses have to be sorted: a session keeps
them from the first query on that would look for them more than once.

Rows and tables have to be of one moment: a correction that is read with the rows kept before it
would stand beside what it corrects. So the tables that the kept rows came from are pinned to the
snapshots that were read, and both change in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from lakehouse.definitions.tables import load_tables
from lakehouse.query.connection.location import EMPTY, WarehouseLocation
from lakehouse.query.connection.table_views import table_statements
from lakehouse.query.views.library import dependency_order
from lakehouse.query.views.view import View, sql_literal
from lakehouse.storage.io.files import is_local, join

SUPERSEDED = "superseded_results"
ALWAYS = ("encounter_moves", "identity_changes", SUPERSEDED, "condition_codes")
"""The views that are always kept."""

WHEN_REPEATED = ("patient_conditions", "suspected_infections", "acute_values", "risk_factor_values")
"""The views that are kept when one query reads them on several ways."""

SCHEMA = "kept"
"""Schema in which its rows lie."""


class MaterializedViews:
    """The kept rows of one connection.

    Examples:
        >>> kept = Kept(con, place, place.views)  # doctest: +SKIP
        >>> kept.renew({"lab_results"})  # looks at every observation  # doctest: +SKIP
        >>> kept.renew({"sofa"})  # nothing was ingested: costs a look at some small files
        ... # doctest: +SKIP
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, place: WarehouseLocation, views: Mapping[str, View]
    ) -> None:
        self._con, self._place, self._views = con, place, views
        tables = load_tables().keys()
        self._tables = {
            name: {d for n in dependency_order([name], views) for d in views[n].depends_on} & tables
            for name in (*ALWAYS, *WHEN_REPEATED)
            if name in views
        }
        self._versions: dict[str, str] = {}
        self._kept: set[str] = set()

    def renew(self, names: Iterable[str]) -> None:
        """Make the kept rows those of now, when a query of these names needs them or their tables.

        Everything that the names stand on exists already.

        Raises:
            duckdb.Error: The tables cannot be read.
        """
        names = set(names)
        order = dependency_order(names, self._views)
        reads = {d for n in order for d in self._views[n].depends_on} | names
        wanted = {n for n in ALWAYS if n in order}
        wanted |= {
            s for s in WHEN_REPEATED if sum(count_paths(n, s, self._views) for n in names) > 1
        }
        if not wanted and reads.isdisjoint(self._tables_of(self._kept)):
            return
        versions = self._current(self._tables_of(self._kept | wanted))
        changed = {t for t, version in versions.items() if version != self._versions.get(t)}
        stale = {n for n in self._kept if self._tables[n] & changed}
        given_up = (stale - wanted).intersection(WHEN_REPEATED)
        anew = sorted((stale | wanted - self._kept) - given_up, key=[*ALWAYS, *WHEN_REPEATED].index)
        if not anew and not given_up:
            return
        self._con.execute("BEGIN")
        try:
            self._pin({t: versions[t] for t in sorted(changed)})
            self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            for name in given_up:
                self._forget(name)
            for name in anew:
                self._keep(name)
            self._con.execute("COMMIT")
        except BaseException:
            self._con.execute("ROLLBACK")
            raise
        self._versions |= versions
        self._kept = (self._kept | set(anew)) - given_up

    def _tables_of(self, kept: Iterable[str]) -> set[str]:
        return {table for name in kept for table in self._tables[name]}

    def _keep(self, name: str) -> None:
        sql = self._views[name].sql
        self._con.execute(f"CREATE OR REPLACE TABLE {SCHEMA}.{name} AS {sql}")
        # DuckDB takes every filter to leave a fifth, of results too, and builds the hash table of
        # a join from what it then takes for the smaller side: 14 million results, not a million
        # that are superseded. A filter and a join that are always met set the proportion right.
        always = (
            "SEMI JOIN (VALUES (TRUE)) AS always (is_superseded) USING (is_superseded) "
            "WHERE ordinal IS NULL OR ordinal >= 0"
        )
        self._con.execute(
            f"CREATE OR REPLACE VIEW {name} AS FROM {SCHEMA}.{name} "
            f"{always if name == SUPERSEDED else ''}"
        )

    def _forget(self, name: str) -> None:
        self._con.execute(f"CREATE OR REPLACE VIEW {name} AS {self._views[name].sql}")
        self._con.execute(f"DROP TABLE {SCHEMA}.{name}")

    def _pin(self, versions: Mapping[str, str]) -> None:
        pins = {
            name: _snapshot(self._con, self._place.locations[name], version)
            for name, version in versions.items()
        }
        pinned = replace(self._place, snapshots={**self._place.snapshots, **pins})
        for name in pins:
            self._con.execute(f'DROP VIEW "{name}"')
            for statement in table_statements(self._con, load_tables()[name], pinned):
                self._con.execute(statement)

    def _current(self, tables: Iterable[str]) -> dict[str, str]:
        """Return the version of each table that is not pinned for good; none for an absent one."""
        hints = {
            name: join(self._place.locations[name], "metadata", "version-hint.text")
            for name in tables
            if name in self._place.locations and name not in self._place.snapshots
        }
        near = {n: Path(hint) for n, hint in hints.items() if is_local(hint)}
        found = {n: path.read_text().strip() for n, path in near.items() if path.exists()}
        far = {hint: name for name, hint in hints.items() if name not in near}
        if far:
            listed = ", ".join(map(sql_literal, far))
            rows = self._con.execute(f"SELECT filename, content FROM read_text([{listed}])")
            found |= {far[hint]: text.strip() for hint, text in rows.fetchall()}
        return found


def count_paths(name: str, to: str, views: Mapping[str, View]) -> int:
    """Return how many times a query of one view comes to another.

    Examples:
        >>> from lakehouse.query.views.view import inlined, load_views
        >>> views = inlined(load_views())
        >>> [ways(n, "suspected_infections", views) for n in ("sofa", "cohort_sepsis")]
        [0, 2]
    """
    if name == to:
        return 1
    below = views[name].depends_on & views.keys() if name in views else ()
    return sum(count_paths(n, to, views) for n in below)


def _snapshot(con: duckdb.DuckDBPyConnection, location: str, version: str) -> int:
    """Return the newest snapshot that a version of a table's metadata has."""
    rows = con.execute(
        f"SELECT snapshot_id FROM iceberg_snapshots({sql_literal(location)}, "
        f"version = {sql_literal(version)}) ORDER BY sequence_number DESC LIMIT 1"
    ).fetchall()
    return int(rows[0][0]) if rows else EMPTY

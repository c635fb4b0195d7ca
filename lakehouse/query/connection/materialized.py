"""A per-session cache of views that are small, slow to compute and read by many others.

Which result supersedes which takes a scan of every observation. A score that reads vital signs and
several results would scan once for each, and so would the next query. A session scans once, and
again when one of the tables below the view changes.

Merges of patients are followed through every link, and every view with a patient reads them. A
query over several such views would follow and plan them many times.

The conditions of each diagnosis code are a few rows, but DuckDB estimates millions and would build
the hash table of a join from all diagnoses. Of materialized rows it knows the number.

The inputs of SOFA, qSOFA, BMI and the cardiovascular scores are a tenth of the observations,
suspected infections are few, and diagnoses need a sort. A session materializes these views from
the first query on that would compute them more than once.

Materialized rows and tables must be of one moment, or a correction would appear beside the row that
it corrects. So the tables below the materialized views are pinned to the snapshots that were read,
and both change in one transaction.
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
"""Views that are always materialized."""

WHEN_REPEATED = ("patient_conditions", "suspected_infections", "acute_values", "risk_factor_values")
"""Views that are materialized when one query reads them through several other views."""

SCHEMA = "kept"
"""Schema of the materialized rows."""


class MaterializedViews:
    """The materialized views of one connection.

    Examples:
        >>> cache = MaterializedViews(con, location, location.views)  # doctest: +SKIP
        >>> cache.refresh({"lab_results"})  # scans every observation  # doctest: +SKIP
        >>> cache.refresh({"sofa"})  # no new ingest: reads some small files
        ... # doctest: +SKIP
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, location: WarehouseLocation, views: Mapping[str, View]
    ) -> None:
        self._con, self._location, self._views = con, location, views
        tables = load_tables().keys()
        self._tables = {
            name: {d for n in dependency_order([name], views) for d in views[n].depends_on} & tables
            for name in (*ALWAYS, *WHEN_REPEATED)
            if name in views
        }
        self._versions: dict[str, str] = {}
        self._materialized: set[str] = set()

    def refresh(self, names: Iterable[str]) -> None:
        """Bring the materialized rows up to date that a query of these names depends on.

        All relations below the names exist already.

        Raises:
            duckdb.Error: The tables cannot be read.
        """
        names = set(names)
        order = dependency_order(names, self._views)
        reads = {d for n in order for d in self._views[n].depends_on} | names
        required = {n for n in ALWAYS if n in order}
        required |= {
            s for s in WHEN_REPEATED if sum(count_paths(n, s, self._views) for n in names) > 1
        }
        if not required and reads.isdisjoint(self._tables_of(self._materialized)):
            return
        versions = self._current_versions(self._tables_of(self._materialized | required))
        changed = {t for t, version in versions.items() if version != self._versions.get(t)}
        stale = {n for n in self._materialized if self._tables[n] & changed}
        dropped = (stale - required).intersection(WHEN_REPEATED)
        to_compute = sorted(
            (stale | required - self._materialized) - dropped, key=[*ALWAYS, *WHEN_REPEATED].index
        )
        if not to_compute and not dropped:
            return
        self._con.execute("BEGIN")
        try:
            self._pin_tables({t: versions[t] for t in sorted(changed)})
            self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            for name in dropped:
                self._restore_view(name)
            for name in to_compute:
                self._materialize(name)
            self._con.execute("COMMIT")
        except BaseException:
            self._con.execute("ROLLBACK")
            raise
        self._versions |= versions
        self._materialized = (self._materialized | set(to_compute)) - dropped

    def _tables_of(self, views: Iterable[str]) -> set[str]:
        return {table for name in views for table in self._tables[name]}

    def _materialize(self, name: str) -> None:
        sql = self._views[name].sql
        self._con.execute(f"CREATE OR REPLACE TABLE {SCHEMA}.{name} AS {sql}")
        # DuckDB estimates that a filter leaves a fifth of the rows and builds the hash table of a
        # join from the side that seems smaller: 14 million results instead of a million superseded
        # ones. A filter and a join that always hold correct the estimate.
        always = (
            "SEMI JOIN (VALUES (TRUE)) AS always (is_superseded) USING (is_superseded) "
            "WHERE ordinal IS NULL OR ordinal >= 0"
        )
        self._con.execute(
            f"CREATE OR REPLACE VIEW {name} AS FROM {SCHEMA}.{name} "
            f"{always if name == SUPERSEDED else ''}"
        )

    def _restore_view(self, name: str) -> None:
        self._con.execute(f"CREATE OR REPLACE VIEW {name} AS {self._views[name].sql}")
        self._con.execute(f"DROP TABLE {SCHEMA}.{name}")

    def _pin_tables(self, versions: Mapping[str, str]) -> None:
        pins = {
            name: _snapshot(self._con, self._location.locations[name], version)
            for name, version in versions.items()
        }
        pinned = replace(self._location, snapshots={**self._location.snapshots, **pins})
        for name in pins:
            self._con.execute(f'DROP VIEW "{name}"')
            for statement in table_statements(self._con, load_tables()[name], pinned):
                self._con.execute(statement)

    def _current_versions(self, tables: Iterable[str]) -> dict[str, str]:
        """Return the current metadata version of each table without a fixed snapshot."""
        hints = {
            name: join(self._location.locations[name], "metadata", "version-hint.text")
            for name in tables
            if name in self._location.locations and name not in self._location.snapshots
        }
        local = {n: Path(hint) for n, hint in hints.items() if is_local(hint)}
        versions = {n: path.read_text().strip() for n, path in local.items() if path.exists()}
        remote = {hint: name for name, hint in hints.items() if name not in local}
        if remote:
            files = ", ".join(map(sql_literal, remote))
            rows = self._con.execute(f"SELECT filename, content FROM read_text([{files}])")
            versions |= {remote[hint]: text.strip() for hint, text in rows.fetchall()}
        return versions


def count_paths(name: str, to: str, views: Mapping[str, View]) -> int:
    """Return the number of paths from one view down to another.

    Examples:
        >>> from lakehouse.query.views.library import inline_readers, load_views
        >>> views = inline_readers(load_views())
        >>> [count_paths(n, "suspected_infections", views) for n in ("sofa", "cohort_sepsis")]
        [0, 2]
    """
    if name == to:
        return 1
    below = views[name].depends_on & views.keys() if name in views else ()
    return sum(count_paths(n, to, views) for n in below)


def _snapshot(con: duckdb.DuckDBPyConnection, location: str, version: str) -> int:
    """Return the newest snapshot in a version of a table's metadata."""
    rows = con.execute(
        f"SELECT snapshot_id FROM iceberg_snapshots({sql_literal(location)}, "
        f"version = {sql_literal(version)}) ORDER BY sequence_number DESC LIMIT 1"
    ).fetchall()
    return int(rows[0][0]) if rows else EMPTY

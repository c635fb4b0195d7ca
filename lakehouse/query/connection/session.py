"""One DuckDB connection to a warehouse that creates tables and views when a query names them.

Binding a view reads the metadata of every table below it, so a session creates only the relations
of a query. A table is a view of its Iceberg folder, not of a snapshot: DuckDB reads
``metadata/version-hint.text`` at each query, so an open session sees every new ingest. With
``as_of`` it sees fixed snapshots. ``materialized`` caches views that are slow to compute.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

import duckdb

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import QueryError, WarehouseError, did_you_mean
from lakehouse.query import errors
from lakehouse.query.connection.extensions import load_statements
from lakehouse.query.connection.guard import Reads, check_statement
from lakehouse.query.connection.location import WarehouseLocation
from lakehouse.query.connection.materialized import MaterializedViews
from lakehouse.query.connection.store_secrets import secret_statements
from lakehouse.query.connection.table_views import table_statements
from lakehouse.query.views.code_sets import code_set_names, create_codes
from lakehouse.query.views.docs import column_docs
from lakehouse.query.views.evaluate import calendar_error, connect
from lakehouse.query.views.library import dependency_order
from lakehouse.query.views.listing import columns_macro, views_macro
from lakehouse.query.views.relations import fill_empty
from lakehouse.query.views.view import CODES, sql_literal


class Session:
    """A locked, read-only connection that creates tables, views and code sets on first use."""

    def __init__(self, location: WarehouseLocation) -> None:
        self.location = location
        self.views = location.views
        self._existing: set[str] = set()
        self.is_closed = False
        self._lock = Lock()
        self.con = connect()
        self._described: dict[str, list[tuple[str, str, str]]] = {}
        self._materialized = MaterializedViews(self.con, location, self.views)
        try:
            for statement in load_statements():
                self.con.execute(statement)
            for statement in lock_statements(location):
                self.con.execute(statement)
        except duckdb.Error as error:
            self.con.close()
            raise WarehouseError(
                f"The query engine does not start ({type(error).__name__}).",
                "Check that duckdb and its extension packages have one version.",
            ) from error

    @property
    def relation_names(self) -> frozenset[str]:
        """Names of tables, views and macros."""
        return frozenset({*self.location.locations, *self.views})

    def check(self, sql: str) -> Reads:
        """Return what a statement reads; create its relations and refresh the materialized views.

        Raises:
            QueryError: The statement may not run, or the session is closed.
        """
        self._require_open()
        macros = {name: view.parameters for name, view in self.views.items() if view.parameters}
        codes = frozenset(code_set_names(self.location.codes))
        reads = check_statement(sql, self.relation_names, codes, macros)
        self._list(reads)
        if reads.everything:
            profile = self.location.profile
            names = {
                n
                for n in self.relation_names
                if n not in self.views or self._answerable(n, profile)
            }
            self.ensure(names, code_set_names(self.location.codes))
        else:
            self.ensure(reads.names, reads.codes)
            if not reads.describes:
                self._refresh(reads)
        return reads

    def _require_open(self) -> None:
        if self.is_closed:
            raise errors.query_error(duckdb.ConnectionException())

    def _list(self, reads: Reads) -> None:
        """Make the macros that tell of views and columns, when a statement asks them."""
        described = {name: self.describe(name) for name in reads.columns_of - set(self._described)}
        with self._lock:
            self._described |= described
            if described:
                self.con.execute(columns_macro(self._described))
            if reads.lists_views:
                self.con.execute(views_macro(self.views.values()))

    def describe(self, name: str) -> list[tuple[str, str, str]]:
        """Return the columns of a table or view: name, type, and what each holds.

        Raises:
            QueryError: There is nothing of that name, the profile cannot answer the view, or the
                session is closed.
        """
        self._require_open()
        views, tables = self.views, load_tables()
        if name in views:
            docs = column_docs(views[name], views)
        elif name in tables:
            docs = {c.name: c.doc for c in tables[name].columns.values()}
        else:
            raise QueryError(
                f"There is no table or view named {name}.", did_you_mean(name, [*tables, *views])
            )
        self.ensure([name])
        arguments = ", ".join("NULL" for _ in views[name].parameters) if name in views else ""
        target = f"{name}({arguments})" if arguments else f'"{name}"'
        with self._lock:
            rows = self.con.execute(f"DESCRIBE SELECT * FROM {target}").fetchall()
        return [(row[0], row[1], docs.get(row[0], "")) for row in rows]

    def _refresh(self, reads: Reads) -> None:
        with self._lock:
            try:
                self._materialized.refresh(reads.names)
            except duckdb.Error as error:
                raise errors.query_error(error, self.relation_names) from None

    def ensure(self, names: Iterable[str], codes: Iterable[str] = ()) -> None:
        """Create tables, views and code sets with all relations below them.

        Raises:
            QueryError: A view needs a calendar that the profile does not have.
        """
        with self._lock:
            self._ensure(names, codes)

    def _ensure(self, names: Iterable[str], codes: Iterable[str]) -> None:
        names = set(names)
        order = [n for n in dependency_order(names, self.views) if n not in self._existing]
        for name in order:
            if not self.views[name].is_available(self.location.profile):
                asked = next(a for a in names if name in dependency_order([a], self.views))
                raise calendar_error(name, asked)
        needed = (names | {d for n in order for d in self.views[n].depends_on}) - set(self.views)
        sets = {d.partition(".")[2] for d in needed if d.startswith(f"{CODES}.")} | set(codes)
        create_codes(self.con, sorted(sets), self.location.codes, self.location.code_sets)
        tables = sorted((needed - self._existing) & load_tables().keys())
        self.con.execute("BEGIN")
        try:
            # binding a view reads the metadata of all Iceberg tables below it; binding it over
            # empty tables costs next to nothing, and the transaction replaces them unseen
            fill_empty(self.con, [self.views[n] for n in order], tables if order else ())
            for name in tables:
                if order:
                    self.con.execute(f'DROP TABLE "{name}"')
                for statement in table_statements(self.con, load_tables()[name], self.location):
                    self.con.execute(statement)
            self.con.execute("COMMIT")
        except BaseException as error:
            self.con.execute("ROLLBACK")
            if isinstance(error, duckdb.Error):
                raise errors.query_error(error, self.relation_names) from None
            raise
        self._existing.update(order, tables)

    def columns_of(self, name: str) -> list[str]:
        """Return the columns of a table or view; none for an unknown name."""
        if name in self.views:
            return self.views[name].columns
        tables = load_tables()
        return list(tables[name].columns) if name in tables else []

    def _answerable(self, name: str, profile: str) -> bool:
        return all(
            self.views[n].is_available(profile) for n in dependency_order([name], self.views)
        )

    def close(self) -> None:
        """Close the connection."""
        self.is_closed = True
        self.con.close()


def lock_statements(location: WarehouseLocation) -> list[str]:
    """Return the settings that restrict a connection to the folders of the tables."""
    folders = ", ".join(
        sql_literal(_with_slash(loc)) for loc in sorted(location.locations.values())
    )
    return [
        *secret_statements(location.store),
        "SET python_enable_replacements = false",
        f"SET allowed_directories = [{folders}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ]


def _with_slash(location: str) -> str:
    return location.rstrip("/") + "/"

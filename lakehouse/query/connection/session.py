"""One DuckDB connection onto a warehouse: tables as views of Iceberg, made when first named.

Binding a view costs a look into the metadata of every table it stands on, so a session makes only
what a query names. A table's view holds the folder, not a snapshot: DuckDB reads
``metadata/version-hint.text`` at each query, so a session that stays open sees every new ingest.
Pinned to snapshots (``as_of``), it sees those instead. What is dear to find and needed again it
keeps (see ``kept``).
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

import duckdb

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import QueryError, WarehouseError, did_you_mean
from lakehouse.query import errors
from lakehouse.query.connection.extensions import load_statements
from lakehouse.query.connection.guard import Reads, check
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
    """A locked, read-only connection on which tables, views and code sets appear when named."""

    def __init__(self, place: WarehouseLocation) -> None:
        self.place = place
        self.views = place.views
        self._made: set[str] = set()
        self.closed = False
        self._making = Lock()
        self.con = connect()
        self._described: dict[str, list[tuple[str, str, str]]] = {}
        self._kept = MaterializedViews(self.con, place, self.views)
        try:
            for statement in load_statements():
                self.con.execute(statement)
            for statement in lock_statements(place):
                self.con.execute(statement)
        except duckdb.Error as error:
            self.con.close()
            raise WarehouseError(
                f"The query engine does not start ({type(error).__name__}).",
                "Check that duckdb and its extension packages have one version.",
            ) from error

    @property
    def known(self) -> frozenset[str]:
        """Names of tables, views and macros."""
        return frozenset({*self.place.locations, *self.views})

    def check(self, sql: str) -> Reads:
        """Return what a person's statement reads, make it exist, and have the kept rows be of now.

        Raises:
            QueryError: The statement may not run, or the session is closed.
        """
        if self.closed:
            raise errors.query_error(duckdb.ConnectionException())
        macros = {name: view.parameters for name, view in self.views.items() if view.parameters}
        codes = frozenset(code_set_names(self.place.codes))
        reads = check(sql, self.known, codes, macros)
        self._list(reads)
        if reads.everything:
            profile = self.place.profile
            names = {n for n in self.known if n not in self.views or self._answerable(n, profile)}
            self.ensure(names, code_set_names(self.place.codes))
        else:
            self.ensure(reads.names, reads.codes)
            if not reads.describes:
                self._renew(reads)
        return reads

    def _list(self, reads: Reads) -> None:
        """Make the macros that tell of views and columns, when a statement asks them."""
        described = {name: self.describe(name) for name in reads.columns_of - set(self._described)}
        with self._making:
            self._described |= described
            if described:
                self.con.execute(columns_macro(self._described))
            if reads.lists_views:
                self.con.execute(views_macro(self.views.values()))

    def describe(self, name: str) -> list[tuple[str, str, str]]:
        """Return the columns of a table or view: name, type, and what each holds.

        Raises:
            QueryError: There is nothing of that name, or the profile cannot answer the view.
        """
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
        with self._making:
            rows = self.con.execute(f"DESCRIBE SELECT * FROM {target}").fetchall()
        return [(row[0], row[1], docs.get(row[0], "")) for row in rows]

    def _renew(self, reads: Reads) -> None:
        with self._making:
            try:
                self._kept.renew(reads.names)
            except duckdb.Error as error:
                raise errors.query_error(error, self.known) from None

    def ensure(self, names: Iterable[str], codes: Iterable[str] = ()) -> None:
        """Make tables, views and code sets exist, with all that they stand on.

        Raises:
            QueryError: A view needs a calendar that the profile does not have.
        """
        with self._making:
            self._ensure(names, codes)

    def _ensure(self, names: Iterable[str], codes: Iterable[str]) -> None:
        names = set(names)
        order = [n for n in dependency_order(names, self.views) if n not in self._made]
        for name in order:
            if not self.views[name].available(self.place.profile):
                asked = next(a for a in names if name in dependency_order([a], self.views))
                raise calendar_error(name, asked)
        needed = (names | {d for n in order for d in self.views[n].depends_on}) - set(self.views)
        sets = {d.partition(".")[2] for d in needed if d.startswith(f"{CODES}.")} | set(codes)
        create_codes(self.con, sorted(sets), self.place.codes, self.place.code_sets)
        tables = sorted((needed - self._made) & load_tables().keys())
        self.con.execute("BEGIN")
        try:
            # A view binds all below it, down to the metadata of Iceberg. Over empty tables in the
            # place of those this costs next to nothing, and they give way before anyone can look.
            fill_empty(self.con, [self.views[n] for n in order], tables if order else ())
            for name in tables:
                if order:
                    self.con.execute(f'DROP TABLE "{name}"')
                for statement in table_statements(self.con, load_tables()[name], self.place):
                    self.con.execute(statement)
            self.con.execute("COMMIT")
        except BaseException as error:
            self.con.execute("ROLLBACK")
            if isinstance(error, duckdb.Error):
                raise errors.query_error(error, self.known) from None
            raise
        self._made.update(order, tables)

    def columns_of(self, name: str) -> list[str]:
        """Return the columns of a table or view; none for an unknown name."""
        if name in self.views:
            return self.views[name].columns
        tables = load_tables()
        return list(tables[name].columns) if name in tables else []

    def _answerable(self, name: str, profile: str) -> bool:
        return all(self.views[n].available(profile) for n in dependency_order([name], self.views))

    def close(self) -> None:
        """Close the connection."""
        self.closed = True
        self.con.close()


def lock_statements(place: WarehouseLocation) -> list[str]:
    """Return the settings that shut a connection in: the tables' folders and nothing else."""
    folders = ", ".join(sql_literal(_slashed(loc)) for loc in sorted(place.locations.values()))
    return [
        *secret_statements(place.store),
        "SET python_enable_replacements = false",
        f"SET allowed_directories = [{folders}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ]


def _slashed(location: str) -> str:
    return location.rstrip("/") + "/"

"""``lakehouse.open(path)``: a warehouse opened for queries."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb
import pyarrow as pa

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError, QueryError, did_you_mean
from lakehouse.query import errors
from lakehouse.query.cohorts.saved import Cohorts
from lakehouse.query.connection.guard import check_parameters
from lakehouse.query.connection.location import WarehouseLocation, cache_folder, locate
from lakehouse.query.connection.session import Session
from lakehouse.query.connection.time_travel import snapshots_as_of
from lakehouse.query.disclosure import plan
from lakehouse.query.disclosure.eligible import Relations
from lakehouse.query.disclosure.suppress import suppress
from lakehouse.query.result import Result
from lakehouse.query.views.library import dependency_order
from lakehouse.storage.io.files import is_local, normalise

if TYPE_CHECKING:
    from lakehouse.storage.warehouse import Warehouse

WAREHOUSE_VARIABLE = "LAKEHOUSE_WAREHOUSE"
DEFAULT_WAREHOUSE = "./warehouse"


def default_path(path: str | Path | None = None) -> str:
    """Return the path given, else ``LAKEHOUSE_WAREHOUSE``, else ``./warehouse``."""
    return str(path or os.environ.get(WAREHOUSE_VARIABLE) or DEFAULT_WAREHOUSE)


def open(
    path: str | Path | None = None,
    *,
    as_of: int | str | datetime | None = None,
    catalog: str | Mapping[str, str] | None = None,
    codes: Iterable[str | Path] = (),
    views: Iterable[str | Path] = (),
) -> Lakehouse:
    """Open a warehouse to read it.

    Args:
        path: Folder or URI; default ``LAKEHOUSE_WAREHOUSE``, else ``./warehouse``.
        as_of: Read every table as it was: the name of a release, a time (a ``datetime`` or ISO
            8601 text; without a zone it is UTC), or the id of a snapshot.
        catalog: A pyiceberg catalog by name or properties; default the warehouse's own.
        codes: Folders with a site's own code sets, or rows that extend the shipped ones.
        views: Folders with a site's own views.

    Raises:
        WarehouseError: There is no warehouse.
        QueryError: ``as_of`` names no release, time or snapshot.

    Examples:
        >>> with lakehouse.open("./warehouse") as lake:  # doctest: +SKIP
        ...     lake.sql("SELECT sex, count(*) AS n FROM patients_current GROUP BY sex").show()
    """
    return Lakehouse(default_path(path), as_of=as_of, catalog=catalog, codes=codes, views=views)


def _folders(named: Iterable[str | Path]) -> tuple[Path, ...]:
    folders = tuple(Path(n) for n in ([named] if isinstance(named, str | Path) else named))
    for folder in folders:
        if not folder.is_dir():
            raise DefinitionError(f"There is no folder {folder}.", "Check the path.")
    return folders


class Lakehouse:
    """A warehouse opened for queries; use it as a context manager, or call ``close``.

    Every query sees the newest state of the tables, also one that was ingested since the
    lakehouse was opened; with ``as_of``, every query sees that state instead.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        as_of: int | str | datetime | None = None,
        catalog: str | Mapping[str, str] | None = None,
        codes: Iterable[str | Path] = (),
        views: Iterable[str | Path] = (),
    ) -> None:
        self._path, self._catalog = path, catalog
        self._location = locate(path, catalog, codes=_folders(codes), folders=_folders(views))
        if as_of is not None:
            self._location = replace(
                self._location, snapshots=snapshots_as_of(self.warehouse, as_of)
            )
        self._session = Session(self._location)
        self._besides: list[Lakehouse] = []

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse itself, with its catalog; a query does not need it."""
        from lakehouse.storage.warehouse import Warehouse

        return Warehouse.open(self._path, self._catalog)

    @property
    def location(self) -> WarehouseLocation:
        """Where the tables lie, and which snapshots are read."""
        return self._location

    def sql(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        min_cell: int | None = None,
    ) -> Result:
        """Return the rows of one SELECT over tables, views and code sets.

        Args:
            query: The SELECT. ``?`` or ``$name`` stand for parameters.
            params: Their values, a list or a mapping.
            min_cell: Blank the figures of fewer patients than this (11 is usual), and further
                ones where a total would give them back. The query groups rows of patients or
                reads a view with counts; any other query is refused.

        Raises:
            QueryError: The text is no SELECT, or names a table, view or column that does not exist.

        Examples:
            >>> lake.sql("SELECT * FROM qsofa WHERE score >= $least", {"least": 2}).df()
            ... # doctest: +SKIP
        """
        if min_cell is None:
            return Result(self._relation(query, params))
        self._session.check(query)
        if min_cell < 1:
            raise QueryError("A minimum cell size is at least 1.", "Give 11, which is usual.")
        views = self._session.views.values()
        how = plan.plan_query(
            query,
            Relations(
                self._session.columns_of,
                {view.name: view.grain for view in views},
                {view.name: view.cells for view in views if view.cells},
            ),
        )
        found = Result(self._relation(how.sql, params)).arrow()
        blanked = suppress(found, how, min_cell)
        return Result(self._session.con.from_arrow(blanked))

    def _relation(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None
    ) -> duckdb.DuckDBPyRelation:
        reads = self._session.check(query)
        given = params if params is None or isinstance(params, Mapping) else list(params)
        check_parameters(reads.parameters, given)
        try:
            return self._session.con.sql(query, params=given)
        except duckdb.Error as error:
            columns = dict.fromkeys(
                c for name in sorted(reads.names) for c in self._session.columns_of(name)
            )
            raise errors.query_error(error, self._session.relation_names, columns) from None

    def tables(self) -> list[str]:
        """Return the names of the tables; the clinical ones first, bookkeeping last."""
        known = load_tables()
        names = [n for n in self._location.locations if n in known]
        return sorted(names, key=lambda n: (known[n].bookkeeping, n))

    def views(self) -> list[str]:
        """Return the names of the views that this warehouse's profile can answer."""
        views, profile = self._session.views, self._location.profile
        return [
            name
            for name in sorted(views, key=lambda n: (views[n].topic, n))
            if all(views[n].is_available(profile) for n in dependency_order([name], views))
        ]

    def describe(self, name: str | None = None) -> pa.Table:
        """Return the tables and views, or the columns of one of them with their docs.

        Args:
            name: A table or view; None lists all of them with their titles.

        Raises:
            QueryError: No table or view has the name.
        """
        views, known = self._session.views, load_tables()
        if name is None:
            return pa.Table.from_pylist(
                [{"name": n, "kind": "table", "about": known[n].doc} for n in self.tables()]
                + [
                    {"name": n, "kind": views[n].topic, "about": views[n].title}
                    for n in self.views()
                ]
            )
        return pa.Table.from_pylist(
            [
                {"column": column, "type": kind, "about": about}
                for column, kind, about in self._session.describe(name)
            ]
        )

    def snapshots(self, table: str) -> pa.Table:
        """Return a table's snapshots: id, time, what made it, rows, ingest, release.

        Raises:
            QueryError: No table has the name.
        """
        if table in self._session.views:
            raise QueryError(
                f"{table} is a view, and a view has no snapshots of its own.",
                f"Name one of its tables: {', '.join(self._tables_of(table))}.",
            )
        if table not in self._location.locations:
            raise QueryError(
                f"There is no table named {table}.", did_you_mean(table, self._location.locations)
            )
        return self.warehouse.snapshots(table)

    def _tables_of(self, view: str) -> list[str]:
        """Return the tables below a view."""
        views = self._session.views
        read = {d for n in dependency_order([view], views) for d in views[n].depends_on}
        return sorted(read & load_tables().keys())

    def ingest(self, paths: str | Path | Sequence[str | Path], **options: Any) -> Any:
        """Ingest files into this warehouse; the same as ``lakehouse.ingest`` with its options.

        What is read afterwards includes them, unless ``as_of`` was given.
        """
        from lakehouse.pipeline.ingest import ingest

        return ingest(paths, self.warehouse, **options)

    @property
    def cohort(self) -> Cohorts:
        """Cohorts: ``lake.cohort("t2dm").where(condition="E11")``, ``lake.cohort.load("t2dm")``."""
        return Cohorts(self, normalise(str(self._path)))

    def folder(self, name: str) -> Path:
        """Return a folder of the warehouse; for one in an object store, a folder of the user's."""
        if is_local(str(self._path)):
            return Path(normalise(str(self._path)), name)
        known = hashlib.sha256(str(self._path).encode()).hexdigest()[:16]
        return cache_folder() / known / name

    def with_location(self, location: WarehouseLocation) -> Lakehouse:
        """Return this warehouse with other snapshots or views; closed together with this one."""
        other = copy(self)
        other._location, other._session, other._besides = location, Session(location), []
        self._besides.append(other)
        return other

    def close(self) -> None:
        """Close the connections."""
        for other in self._besides:
            other._session.close()
        self._session.close()
        if "warehouse" in self.__dict__:
            self.warehouse.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Lakehouse {self._path} ({self._location.profile})>"

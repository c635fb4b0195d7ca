"""Columns and types of every table, view and code set, for callers that analyse SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from lakehouse.definitions.tables import Table, load_tables
from lakehouse.errors import DefinitionError
from lakehouse.query import errors
from lakehouse.query.views.code_sets import code_set_names, create_codes
from lakehouse.query.views.evaluate import connect
from lakehouse.query.views.library import dependency_order, load_views
from lakehouse.query.views.view import CODES, View, ddl

MAIN = "main"

Columns = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Schema (``main`` or ``codes``) -> relation -> column -> DuckDB type."""


@cache
def columns(
    roots: tuple[str, ...] = (), folders: tuple[Path, ...] = (), codes: tuple[Path, ...] = ()
) -> Columns:
    """Return the columns of all relations that a query can name, with their DuckDB types.

    Args:
        roots: Only these views and what they stand on; all views when empty.
        folders: A site's folders with views.
        codes: A site's folders with code sets.

    Raises:
        DefinitionError: A view does not bind.

    Examples:
        >>> columns()["main"]["observations"]["value_number"]
        'DOUBLE'
    """
    views = load_views(folders)
    order = dependency_order(roots or views, views)
    read = {d for n in order for d in views[n].depends_on}
    sets = {d.partition(".")[2] for d in read if d.startswith(f"{CODES}.")}
    with connect() as con:
        create_codes(con, sorted(sets) if roots else code_set_names(codes), codes)
        fill_empty(con, [views[n] for n in order])
        rows = con.execute(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY column_index"
        ).fetchall()
    found: dict[str, dict[str, dict[str, str]]] = {MAIN: {}, CODES: {}}
    for schema, relation, column, kind in rows:
        found[schema].setdefault(relation, {})[column] = kind
    return found


def fill_empty(
    con: duckdb.DuckDBPyConnection, views: Iterable[View], tables: Iterable[str] | None = None
) -> None:
    """Create empty tables, and views over them.

    Args:
        con: The connection.
        views: The views.
        tables: Names of the tables; None for every one.

    Raises:
        DefinitionError: A view does not bind.
    """
    for table in map(load_tables().__getitem__, load_tables() if tables is None else tables):
        con.execute(f'CREATE TABLE "{table.name}" AS SELECT {select_list(table, set())} LIMIT 0')
    for view in views:
        try:
            con.execute(ddl(view))
        except duckdb.Error as error:
            raise DefinitionError(f"{view.where}: {errors.text_of(error)}") from None


def select_list(table: Table, stored: Set[str]) -> str:
    """Return the select list of a table's defined columns; null stands for one not stored."""
    return ", ".join(
        f'"{c.name}"' if c.name in stored else f'NULL::{_duckdb_type(c.type)} AS "{c.name}"'
        for c in table.columns.values()
    )


_DUCKDB_TYPES = {
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "date32[day]": "DATE",
    "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
}


def _duckdb_type(arrow: Any) -> str:
    return _DUCKDB_TYPES[str(arrow)]

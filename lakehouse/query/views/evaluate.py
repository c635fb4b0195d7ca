"""Any view over rows given in memory: to test a score, or to check it on rows of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError, QueryError, did_you_mean
from lakehouse.query import errors
from lakehouse.query.views.code_sets import create_codes
from lakehouse.query.views.library import dependency_order, inlined, load_views
from lakehouse.query.views.view import CODES, View, ddl

Rows: TypeAlias = "pa.Table | Sequence[Mapping[str, Any]]"
"""An Arrow table, or rows as dictionaries."""


def evaluate_view(
    name: str,
    tables: Mapping[str, Rows],
    *,
    profile: str = "limited",
    parameters: Mapping[str, Any] | None = None,
    codes: Iterable[Path] = (),
    folders: Iterable[Path] = (),
) -> pa.Table:
    """Run a view, and whatever lies between it and the rows given, over rows in memory.

    Tables that are not given are empty, columns that are not given are null, and a time without
    a zone is read as UTC. A view may be given like a table; nothing behind it is looked at then.

    Args:
        name: The view.
        tables: Rows by table, view or ``codes.<stem>``.
        profile: ``safe_harbor`` refuses a view that compares patients in time.
        parameters: Arguments, when the view is a table macro.
        codes: Folders that extend the code sets.
        folders: Folders with further views.

    Returns:
        The view's rows, ordered by its grain.

    Raises:
        QueryError: There is no such view, table or column, the view does not read a view that is
            given, or a value does not fit its column.
        DefinitionError: The view's SQL is at fault.

    Examples:
        >>> rows = evaluate_view("patients_current", {"patients": [
        ...     {"patient_id": "p1", "sex": "female", "stated_at": "2130-01-01T08:00:00"}]})
        >>> rows.column("sex").to_pylist()
        ['female']
    """
    views = inlined(load_views(folders), tables)
    view = _view_named(name, views)
    order = dependency_order([name], views, stop=set(tables) - {name})
    _check_given(name, tables, views, {d for n in order for d in views[n].depends_on})
    if barred := [n for n in order if not views[n].available(profile)]:
        raise calendar_error(barred[0], name)
    with connect() as con:
        _stage(con, order, tables, views, tuple(codes), tuple(folders))
        return _run(con, view, views, parameters or {})


SETTLED = "SET disabled_optimizers = 'top_n_window_elimination'"
"""DuckDB 1.5.5 fails to bind a column when this rule meets shared subplans ("Failed to bind column
reference"): the latest row of each patient of a view, by QUALIFY row_number() = 1, is such a query.
Without the rule it answers, and no view is measurably slower."""


AT = "ts"
"""The parameter of a view that looks at one time."""


def connect() -> duckdb.DuckDBPyConnection:
    """Return an empty in-memory connection in UTC, without extensions from the net."""
    config = dict.fromkeys(("autoinstall_known_extensions", "autoload_known_extensions"), False)
    con = duckdb.connect(":memory:", config={**config})
    con.execute("SET TimeZone = 'UTC'")
    con.execute(SETTLED)
    return con


def calendar_error(barred: str, asked: str = "") -> QueryError:
    """Return the line that says why a view does not exist under ``safe_harbor``."""
    through = f" (read by {asked})" if asked and asked != barred else ""
    return QueryError(
        f"{barred}{through} compares patients in time, and under safe_harbor every patient has a "
        "time line of its own.",
        "It exists in a warehouse with the profile limited.",
    )


def arguments_error(name: str, parameters: Sequence[str]) -> QueryError:
    """Return the line that says how a view with parameters is called.

    Examples:
        >>> str(arguments_error("news2_at", ["ts"]))
        "news2_at takes a time. Write: FROM news2_at('2130-01-31 12:00')."
    """
    if tuple(parameters) == (AT,):
        return QueryError(f"{name} takes a time.", f"Write: FROM {name}('2130-01-31 12:00').")
    return QueryError(f"{name} takes arguments.", f"Write: FROM {name}({', '.join(parameters)}).")


def _view_named(name: str, views: Mapping[str, View]) -> View:
    try:
        return views[name]
    except KeyError:
        raise QueryError(f"There is no view named {name}.", did_you_mean(name, views)) from None


def _check_given(
    name: str, tables: Mapping[str, Rows], views: Mapping[str, View], needed: set[str]
) -> None:
    for given in tables:
        if given in views and given not in needed:
            raise QueryError(
                f"{name} does not read {given}, so its rows would count for nothing.",
                f"It reads {', '.join(sorted(needed & {*views, *load_tables()}))}.",
            )
        known = given in load_tables() or given in views or given in needed
        if not known and not given.startswith(f"{CODES}."):
            raise QueryError(
                f"There is no table or view named {given}.",
                did_you_mean(given, [*load_tables(), *views]),
            )


def _stage(
    con: duckdb.DuckDBPyConnection,
    order: Sequence[str],
    tables: Mapping[str, Rows],
    views: Mapping[str, View],
    codes: tuple[Path, ...],
    folders: tuple[Path, ...],
) -> None:
    """Create what some views stand on, from the rows given or empty, and then the views."""
    needed = {d for n in order for d in views[n].depends_on} - set(order)
    sets = {d.partition(".")[2] for d in needed - set(tables) if d.startswith(f"{CODES}.")}
    create_codes(con, sorted(sets), codes)
    for source in sorted(needed):
        if source in tables or source in load_tables():
            schema = _schema_of(source, views, codes, folders)
            _fill(con, source, conform_rows(source, tables.get(source, ()), schema))
    for name in order:
        try:
            con.execute(ddl(views[name]))
        except duckdb.Error as error:
            raise DefinitionError(f"{views[name].where}: {errors.text_of(error)}") from None


def _run(
    con: duckdb.DuckDBPyConnection,
    view: View,
    views: Mapping[str, View],
    parameters: Mapping[str, Any],
) -> pa.Table:
    if set(parameters) != set(view.parameters):
        needs = ", ".join(view.parameters) or "none"
        raise QueryError(f"{view.name} takes these parameters: {needs}.")
    call = f"({', '.join(f'${p}' for p in view.parameters)})" if view.parameters else ""
    query = f"SELECT * FROM {view.name}{call} ORDER BY {', '.join(view.grain)}"
    try:
        return con.execute(query, dict(parameters) or None).to_arrow_table()
    except duckdb.Error as error:
        raise errors.query_error(error, views) from None


def _fill(con: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    schema, _, table = name.rpartition(".")
    if schema:
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    con.register("_given", rows)
    con.execute(f'CREATE TABLE {schema + "." if schema else ""}"{table}" AS FROM _given')
    con.unregister("_given")


def _schema_of(
    name: str, views: Mapping[str, View], codes: tuple[Path, ...], folders: tuple[Path, ...]
) -> pa.Schema | None:
    if name in load_tables():
        return load_tables()[name].schema
    if name in views:
        return view_schema(name, codes, folders)
    return None


@cache
def view_schema(
    name: str, codes: tuple[Path, ...] = (), folders: tuple[Path, ...] = ()
) -> pa.Schema:
    """Return the columns of a view as Arrow types; no rows are needed for that.

    Examples:
        >>> view_schema("patients_current").field("patient_id").type
        DataType(string)
    """
    arguments = dict.fromkeys(load_views(folders)[name].parameters)
    return evaluate_view(name, {}, parameters=arguments, codes=codes, folders=folders).schema


def conform_rows(name: str, rows: Rows, schema: pa.Schema | None) -> pa.Table:
    """Return rows with the columns of a schema, in its types; missing columns are null.

    Raises:
        QueryError: A column does not exist, or a value does not fit it (the value is not said).
    """
    if schema is None:
        return rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows))
    names = rows.column_names if isinstance(rows, pa.Table) else {k for row in rows for k in row}
    for column in names:
        if column not in schema.names:
            raise QueryError(
                f"{name} has no column named {column}.", did_you_mean(column, schema.names)
            )
    arrays = []
    for field in schema:
        try:
            arrays.append(_column(rows, field))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError):
            raise QueryError(f"{name}.{field.name}: a value does not fit {field.type}.") from None
    return pa.Table.from_arrays(arrays, schema=schema)


def _instant(value: Any) -> Any:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _column(rows: Rows, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    if not isinstance(rows, pa.Table):
        values = [row.get(field.name) for row in rows]
        if pa.types.is_timestamp(field.type):
            values = [_instant(v) for v in values]
        return pa.array(values, field.type)
    if field.name not in rows.column_names:
        return pa.nulls(len(rows), field.type)
    return rows.column(field.name).cast(field.type)


def view_types(name: str) -> dict[str, str]:
    """Return the DuckDB type of each column of a view.

    Examples:
        >>> view_types("patients_current")["patient_id"]
        'VARCHAR'
    """
    views = load_views()
    view = _view_named(name, views)
    arguments = f"({', '.join('NULL' for _ in view.parameters)})" if view.parameters else ""
    with connect() as con:
        _stage(con, dependency_order([name], views), {}, views, (), ())
        described = con.execute(f"DESCRIBE SELECT * FROM {name}{arguments}").fetchall()
        return {row[0]: row[1] for row in described}

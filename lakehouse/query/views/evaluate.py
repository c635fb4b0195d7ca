"""Runs a view over rows in memory, to test a score or to check it on one's own rows."""

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
from lakehouse.query.views.library import dependency_order, inline_readers, load_views
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
    """Run a view, and all views between it and the given rows, over rows in memory.

    Missing tables are empty, missing columns are null, and a time without a zone is UTC. Rows may
    also stand for a view; nothing below that view runs then.

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
        DefinitionError: The view's SQL does not bind.

    Examples:
        >>> rows = evaluate_view("patients_current", {"patients": [
        ...     {"patient_id": "p1", "sex": "female", "stated_at": "2130-01-01T08:00:00"}]})
        >>> rows.column("sex").to_pylist()
        ['female']
    """
    views = inline_readers(load_views(folders), tables)
    view = _find_view(name, views)
    order = dependency_order([name], views, stop=set(tables) - {name})
    _check_names(name, tables, views, {d for n in order for d in views[n].depends_on})
    if barred := [n for n in order if not views[n].is_available(profile)]:
        raise calendar_error(barred[0], name)
    with connect() as con:
        _create_inputs(con, order, tables, views, tuple(codes), tuple(folders))
        return _query_view(con, view, views, parameters or {})


DISABLE_FAULTY_OPTIMIZER = "SET disabled_optimizers = 'top_n_window_elimination'"
"""Turns off one optimizer rule: in DuckDB 1.5.5 it fails on shared subplans ("Failed to bind column
reference"). The latest row of each patient, by QUALIFY row_number() = 1, is such a query. No view
is measurably slower without the rule."""


AT = "ts"
"""The parameter of a view that looks at one time."""


def connect() -> duckdb.DuckDBPyConnection:
    """Return an empty in-memory connection in UTC that downloads no extensions."""
    config = dict.fromkeys(("autoinstall_known_extensions", "autoload_known_extensions"), False)
    con = duckdb.connect(":memory:", config={**config})
    con.execute("SET TimeZone = 'UTC'")
    con.execute(DISABLE_FAULTY_OPTIMIZER)
    return con


def calendar_error(barred: str, asked: str = "") -> QueryError:
    """Return the error that a view needs a shared calendar, which ``safe_harbor`` does not have."""
    through = f" (read by {asked})" if asked and asked != barred else ""
    return QueryError(
        f"{barred}{through} compares patients in time, and under safe_harbor every patient has a "
        "time line of its own.",
        "Use a warehouse with the profile limited.",
    )


def arguments_error(name: str, parameters: Sequence[str]) -> QueryError:
    """Return the line that says how a view with parameters is called.

    Examples:
        >>> str(arguments_error("news2_at", ["ts"]))
        "news2_at takes a time. Write: FROM news2_at('2130-01-31 12:00')."
    """
    if tuple(parameters) == (AT,):
        return QueryError(f"{name} takes a time.", f"Write: FROM {name}('2130-01-31 12:00').")
    return QueryError(
        f"{name} takes {' and '.join(parameters)}.", f"Write: FROM {name}({', '.join(parameters)})."
    )


def _find_view(name: str, views: Mapping[str, View]) -> View:
    try:
        return views[name]
    except KeyError:
        raise QueryError(f"There is no view named {name}.", did_you_mean(name, views)) from None


def _check_names(
    name: str, tables: Mapping[str, Rows], views: Mapping[str, View], needed: set[str]
) -> None:
    for given in tables:
        if given in views and given not in needed:
            raise QueryError(
                f"{name} does not read {given}, so its rows would count for nothing.",
                f"Give rows of {', '.join(sorted(needed & {*views, *load_tables()}))}.",
            )
        is_relation = given in load_tables() or given in views or given in needed
        if not is_relation and not given.startswith(f"{CODES}."):
            raise QueryError(
                f"There is no table or view named {given}.",
                did_you_mean(given, [*load_tables(), *views]),
            )


def _create_inputs(
    con: duckdb.DuckDBPyConnection,
    order: Sequence[str],
    tables: Mapping[str, Rows],
    views: Mapping[str, View],
    codes: tuple[Path, ...],
    folders: tuple[Path, ...],
) -> None:
    """Create the inputs of some views from the given rows, empty without any, then the views."""
    needed = {d for n in order for d in views[n].depends_on} - set(order)
    sets = {d.partition(".")[2] for d in needed - set(tables) if d.startswith(f"{CODES}.")}
    create_codes(con, sorted(sets), codes)
    for source in sorted(needed):
        if source in tables or source in load_tables():
            schema = _schema_of(source, views, codes, folders)
            _create_table(con, source, conform_rows(source, tables.get(source, ()), schema))
    for name in order:
        try:
            con.execute(ddl(views[name]))
        except duckdb.Error as error:
            raise DefinitionError(f"{views[name].where}: {errors.text_of(error)}") from None


def _query_view(
    con: duckdb.DuckDBPyConnection,
    view: View,
    views: Mapping[str, View],
    parameters: Mapping[str, Any],
) -> pa.Table:
    if set(parameters) != set(view.parameters):
        needs = ", ".join(view.parameters) or "none"
        raise QueryError(f"{view.name} takes these parameters: {needs}.", "Give exactly these.")
    call = f"({', '.join(f'${p}' for p in view.parameters)})" if view.parameters else ""
    query = f"SELECT * FROM {view.name}{call} ORDER BY {', '.join(view.grain)}"
    try:
        return con.execute(query, dict(parameters) or None).to_arrow_table()
    except duckdb.Error as error:
        raise errors.query_error(error, views) from None


def _create_table(con: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
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
    """Return the columns of a view as an Arrow schema; it needs no rows.

    Examples:
        >>> view_schema("patients_current").field("patient_id").type
        DataType(string)
    """
    arguments = dict.fromkeys(load_views(folders)[name].parameters)
    return evaluate_view(name, {}, parameters=arguments, codes=codes, folders=folders).schema


def conform_rows(name: str, rows: Rows, schema: pa.Schema | None) -> pa.Table:
    """Return rows with the columns of a schema, in its types; missing columns are null.

    Raises:
        QueryError: A column does not exist, or a value does not fit it; no value is quoted.
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
    view = _find_view(name, views)
    arguments = f"({', '.join('NULL' for _ in view.parameters)})" if view.parameters else ""
    with connect() as con:
        _create_inputs(con, dependency_order([name], views), {}, views, (), ())
        described = con.execute(f"DESCRIBE SELECT * FROM {name}{arguments}").fetchall()
        return {row[0]: row[1] for row in described}

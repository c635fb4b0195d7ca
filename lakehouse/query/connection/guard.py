"""Checks that a statement is one SELECT over tables, views and code sets of the warehouse.

The check uses DuckDB's own syntax tree. The connection is locked besides: no file access outside
the warehouse's tables, no settings, no extensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import duckdb

from lakehouse.errors import QueryError, did_you_mean
from lakehouse.query import errors
from lakehouse.query.views import syntax
from lakehouse.query.views.evaluate import arguments_error
from lakehouse.query.views.listing import LIST_COLUMNS, LIST_VIEWS
from lakehouse.query.views.syntax import TABLE_FUNCTIONS, Reference

BARRED_FUNCTIONS = frozenset(
    {"getenv", "current_setting", "getvariable", "nextval", "currval", "write_log", "set_config"}
)
"""Functions that read or change the environment of the session."""

INFORMATION = frozenset({"tables", "columns", "schemata"})
"""The relations of ``information_schema`` that a query may read."""


@dataclass
class Reads:
    """The relations and parameters of a statement.

    Attributes:
        names: Tables, views and macros.
        codes: Code sets, without their schema.
        everything: Whether it lists all relations (SHOW, ``information_schema``).
        lists_views: Whether it reads ``lakehouse_views()``, the list of views.
        columns_of: Tables and views whose columns it reads by ``lakehouse_columns``.
        parameters: The names of ``$name``, and the numbers of ``?``.
        describes: Whether it reads the columns of a query (DESCRIBE), not its rows.
    """

    names: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    everything: bool = False
    lists_views: bool = False
    columns_of: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    describes: bool = False


def check_statement(
    sql: str,
    relations: Set[str],
    codes: Set[str] = frozenset(),
    macros: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Reads:
    """Return what a statement reads; refuse a statement that may not run.

    Args:
        sql: The statement.
        relations: Names of tables, views and macros.
        codes: Names of code sets.
        macros: Of each name that takes arguments their names.

    Raises:
        QueryError: The text is not one SELECT, or reads anything but these relations.

    Examples:
        >>> sorted(check_statement("SELECT count(*) FROM patients", {"patients"}).names)
        ['patients']
    """
    statements = syntax.parse(sql)
    if statements is None:
        raise _refusal(sql)
    if len(statements) != 1:
        raise _many() if statements else QueryError("There is no SQL to run.", "Give one SELECT.")
    (statement,) = statements
    reads = Reads(
        parameters=syntax.parameter_names(statement), describes=syntax.is_describe(statement)
    )
    for reference in syntax.references(statement):
        _check_arguments(reference, macros)
        _check_reference(reference, reads, relations, codes)
    return reads


def _many() -> QueryError:
    return QueryError("This is more than one statement.", "Give one SELECT.")


def _refusal(sql: str) -> QueryError:
    """Return the error for a statement without a tree: it does not parse, or is no SELECT."""
    try:
        kinds = syntax.statement_kinds(sql)
    except duckdb.Error as error:
        return errors.query_error(error)
    if kinds[-2:] == ["CREATE", "SELECT"]:
        return QueryError(
            "PIVOT needs the values it makes columns of.", "Write PIVOT ... ON x IN ('a', 'b')."
        )
    if len(kinds) > 1:
        return _many()
    kind = kinds[0] if kinds[0] != "SELECT" else "PRAGMA"
    article = "an" if kind[0] in "AEIOU" else "a"
    return QueryError(
        f"Only a SELECT can run here, and this is {article} {kind}.",
        "Use `lakehouse ingest` or `lakehouse forget` to change rows; a query reads.",
    )


def check_parameters(named: Set[str], given: Sequence[Any] | Mapping[str, Any] | None) -> None:
    """Refuse parameter values that do not match the parameters of a statement.

    Args:
        named: ``Reads.parameters``.
        given: Values by name, or in the order of ``?``.

    Raises:
        QueryError: A value is missing or superfluous; the error quotes no value.
    """
    numbered = {name for name in named if name.isdigit()}
    if not isinstance(given, Mapping):
        given = dict.fromkeys(map(str, range(1, len(given or ()) + 1)))
    asked, have = {n.lower() for n in named}, {n.lower() for n in given}
    missing, more = sorted(asked - have), sorted(have - asked)
    if numbered and (missing or more):
        raise QueryError(
            f"The query has {len(numbered)} ? and {len(have)} values.",
            "Give a list of values, one for each; or write $name and give them by name.",
        )
    if missing:
        named_so = ", ".join(f"${name}" for name in missing)
        raise QueryError(
            f"There is no value for {named_so}.",
            f"Give it by name: params={{'{missing[0]}': ...}}, or -p {missing[0]}=VALUE.",
        )
    if more:
        raise QueryError(
            f"The query has no parameter ${more[0]}.",
            did_you_mean(more[0], asked) or "Write a parameter as $name in the query.",
        )


def _check_arguments(reference: Reference, macros: Mapping[str, Sequence[str]]) -> None:
    """Refuse a view with parameters that is named like one without, or with other arguments."""
    wanted = macros.get(reference.name, ()) if reference.schema in ("", "main") else ()
    named = reference.kind in (syntax.TABLE, syntax.FUNCTION)
    if named and len(reference.arguments) != len(wanted or reference.arguments):
        raise arguments_error(reference.name, wanted)


def _check_reference(reference: Reference, reads: Reads, known: Set[str], codes: Set[str]) -> None:
    if reference.kind == syntax.TABLE:
        _check_table(reference, reads, known, codes)
    elif reference.kind == syntax.LISTING:
        reads.everything = True
    elif reference.kind == syntax.SCALAR and reference.name in BARRED_FUNCTIONS:
        raise QueryError(
            f"The function {reference.name} is not available in a query.", "Leave it out."
        )
    elif reference.kind == syntax.FUNCTION and reference.name in known:
        reads.names.add(reference.name)
    elif reference.kind == syntax.FUNCTION and reference.name == LIST_VIEWS:
        reads.lists_views = True
    elif reference.kind == syntax.FUNCTION and reference.name == LIST_COLUMNS:
        reads.columns_of.add(_relation_named(reference))
    elif reference.kind == syntax.FUNCTION and reference.name not in TABLE_FUNCTIONS:
        raise QueryError(
            f"The table function {reference.name} is not available in a query.",
            "Name tables and views of the warehouse; a query reads no file.",
        )


def _relation_named(reference: Reference) -> str:
    if len(reference.arguments) != 1 or reference.arguments[0] is None:
        raise QueryError(
            f"{LIST_COLUMNS} takes the name of a table or view, in quotes.",
            f"Write: FROM {LIST_COLUMNS}('observations').",
        )
    return reference.arguments[0].lower()


def _check_table(reference: Reference, reads: Reads, known: Set[str], codes: Set[str]) -> None:
    name, schema = reference.name, reference.schema
    if reference.at:
        raise QueryError(
            "AT (...) is not available in a query.",
            "Open the warehouse as of a time: lakehouse.open(path, as_of=...), or --as-of.",
        )
    if schema == "information_schema" and name in INFORMATION:
        reads.everything = True
    elif schema == "codes" and name in codes:
        reads.codes.add(name)
    elif schema in ("", "main") and name in known and not reference.catalog:
        reads.names.add(name)
    else:
        asked = f"{schema}.{name}" if schema else name
        near = did_you_mean(asked, [*known, *(f"codes.{c}" for c in codes)])
        raise QueryError(
            f"There is no table or view named {asked}.",
            near or "Choose one from `lakehouse tables` or `lakehouse views`.",
        )

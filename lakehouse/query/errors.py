"""Turns DuckDB's errors into a one-line ``QueryError`` without a value from the data.

A binder, catalog or parser error quotes names and the statement's own text. Every other error may
quote a row ("Could not convert string '...' to DOUBLE"), so its text is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb

from lakehouse.errors import QueryError, did_you_mean

_NAMES_ONLY = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)

_COLUMN = re.compile(
    r'Referenced column "([^"]+)" not found|does not have a column named "([^"]+)"'
)
_FUNCTION = re.compile(r'Function with name (\S+) does not exist!\s+Did you mean "(\w+)"')
_TABLE = re.compile(r"Table with name (\S+) does not exist")

LISTED = 40
"""Most columns that an error message lists."""

_KINDS = {
    duckdb.ConversionException: "A value could not be converted to the type the query asks for.",
    duckdb.OutOfRangeException: "A number is outside the range of its type.",
    duckdb.InvalidInputException: "A function was given a value that it cannot take.",
    duckdb.OutOfMemoryException: "The query needs more memory than there is.",
    duckdb.InterruptException: "The query was interrupted.",
    duckdb.PermissionException: "A query reads tables and views of this warehouse, nothing else.",
    duckdb.IOException: "A file of the warehouse could not be read.",
    duckdb.ConnectionException: "The lakehouse is closed.",
    duckdb.HTTPException: "The warehouse's store did not answer.",
}
_REMEDIES = {
    duckdb.ConnectionException: "Open it again: lakehouse.open(path).",
    duckdb.ConversionException: "Use TRY_CAST, which gives null instead.",
    duckdb.OutOfMemoryException: "Select fewer columns, or filter and aggregate earlier.",
    duckdb.IOException: "Run `lakehouse verify` if it happens again.",
}


def text_of(error: duckdb.Error) -> str:
    """Return the message of an error in one line, without a value from the data."""
    if isinstance(error, _NAMES_ONLY):
        first = str(error).strip().splitlines()[0]
        said = first.partition("Error: ")[2] or first
        return said.rstrip("!. ") + "."
    for kind, text in _KINDS.items():
        if isinstance(error, kind):
            return text
    return f"The query failed ({type(error).__name__})."


def query_error(
    error: duckdb.Error, known: Iterable[str] = (), columns: Iterable[str] = ()
) -> QueryError:
    """Return the QueryError for an error of DuckDB, with similar names for an unknown one.

    Args:
        error: The error of DuckDB.
        known: Names of tables and views.
        columns: Names of the columns that the query can use, in their order.
    """
    text = str(error)
    if isinstance(error, duckdb.BinderException) and (match := _COLUMN.search(text)):
        name = match[1] or match[2]
        return QueryError(f"There is no column named {name}.", _columns(name, list(columns)))
    if isinstance(error, duckdb.CatalogException) and (match := _FUNCTION.search(text)):
        return QueryError(
            f"There is no function named {match[1]}.", did_you_mean(match[1], [match[2]])
        )
    if isinstance(error, duckdb.CatalogException) and (match := _TABLE.search(text)):
        near = did_you_mean(match[1], known)
        return QueryError(f"There is no table or view named {match[1]}.", near)
    for kind, remedy in _REMEDIES.items():
        if isinstance(error, kind):
            return QueryError(text_of(error), remedy)
    return QueryError(text_of(error))


def _columns(name: str, columns: list[str]) -> str:
    """Return the columns with similar names, else all of them unless they are many."""
    near = did_you_mean(name, columns)
    if near or not columns:
        return near
    if len(columns) > LISTED:
        return "`lakehouse tables NAME` and `lakehouse views NAME` list the columns of one."
    return f"There are: {', '.join(columns)}."


def stream_error(error: Exception) -> QueryError:
    """Return the QueryError for an error of Arrow's stream, which has DuckDB's text."""
    said = str(error).partition(" Error")[0].replace(" ", "")
    for kind, text in _KINDS.items():
        if kind.__name__ == f"{said}Exception":
            return QueryError(text, _REMEDIES.get(kind, ""))
    return QueryError("The query failed while its rows were read.")

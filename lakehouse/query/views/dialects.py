"""Translates the views into the SQL of other engines.

sqlglot qualifies every column first: a ``*``, or an alias used in its own SELECT, means something
else in other engines. Table macros have no counterpart: a view that calls one has the macro's query
in itself. The macros, and views that a dialect cannot express, are left out with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError, UnsupportedError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from lakehouse.errors import DefinitionError, QueryError, did_you_mean
from lakehouse.query.views import relations
from lakehouse.query.views.library import dependency_order, load_views
from lakehouse.query.views.macros import written_out
from lakehouse.query.views.view import DIALECT, View

DIALECTS = ("trino", "spark", "snowflake", "postgres")

NAMESPACE = "lakehouse"
"""Schema of the other engine that holds tables and views."""


@dataclass(frozen=True)
class Translation:
    """One view in another dialect.

    Attributes:
        view: The view.
        sql: Its SELECT; empty when the dialect cannot express it.
        why: What the dialect cannot express; empty otherwise.
    """

    view: View
    sql: str
    why: str = ""


def translate(
    dialect: str,
    roots: tuple[str, ...] = (),
    *,
    namespace: str = NAMESPACE,
    folders: tuple[Path, ...] = (),
) -> Iterator[Translation]:
    """Yield views in another dialect, inputs first.

    Args:
        dialect: One of ``DIALECTS``.
        roots: Only these views and what they stand on; all when empty.
        namespace: Schema of tables and views there; empty leaves names bare.
        folders: A site's folders with views.

    Raises:
        QueryError: There is no such dialect or view.

    Examples:
        >>> (last,) = [t for t in translate("spark", ("qsofa",)) if t.view.name == "qsofa"]
        >>> "FROM lakehouse.acute_values" in last.sql
        True
    """
    if dialect not in DIALECTS:
        raise QueryError(
            f"There is no dialect {dialect}.",
            did_you_mean(dialect, DIALECTS) or f"Choose one of: {', '.join(DIALECTS)}.",
        )
    views = load_views(folders)
    for name in roots:
        if name not in views:
            raise QueryError(f"There is no view named {name}.", did_you_mean(name, views))
    for name in dependency_order(roots or views, views):
        yield _translate_view(views[name], dialect, roots, folders, namespace)


def _translate_view(
    view: View, dialect: str, roots: tuple[str, ...], folders: tuple[Path, ...], namespace: str
) -> Translation:
    if view.parameters:
        return Translation(view, "", "a table macro of DuckDB")
    query = _qualify_query(view.name, roots, folders).copy()
    for table in query.find_all(exp.Table):
        if table.db == relations.MAIN:
            table.set("db", exp.to_identifier(namespace) if namespace else None)
    query = query.transform(_double).transform(_percentile, dialect)
    try:
        sql = query.sql(dialect=dialect, pretty=True, unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        return Translation(view, "", str(error).partition("\n")[0])
    return Translation(view, sql)


def _double(node: Any) -> Any:
    """Cast a literal such as 100.0 to double, because engines with decimals round products."""
    is_fraction = isinstance(node, exp.Literal) and not node.is_string and not node.is_int
    if not is_fraction or isinstance(node.parent, exp.Cast):
        return node
    return exp.cast(node.copy(), "DOUBLE")


def _percentile(node: Any, dialect: str) -> Any:
    """Write a median or quantile as each engine has it; Trino has approximate ones only."""
    if isinstance(node, exp.Median) and dialect == "trino":
        value, share = node.this, exp.Literal.number("0.5")
    elif isinstance(node, exp.PercentileCont) and node.expression is not None:
        value, share = node.this, node.expression.unnest()
    else:
        return node
    if isinstance(share, exp.Cast):
        share = share.this
    if dialect in ("spark", "trino"):
        name = "PERCENTILE" if dialect == "spark" else "APPROX_PERCENTILE"
        return exp.Anonymous(this=name, expressions=[value.copy(), share.copy()])
    order = exp.Order(expressions=[exp.Ordered(this=value.copy())])
    return exp.WithinGroup(this=exp.PercentileCont(this=share.copy()), expression=order)


@cache
def _qualify_query(name: str, roots: tuple[str, ...], folders: tuple[Path, ...]) -> Any:
    """Return a view's query with qualified columns and tables, annotated with types."""
    views, schema = load_views(folders), relations.columns(roots, folders)
    view = views[name]
    try:
        query = qualify(
            written_out(view, views),
            schema=schema,
            dialect=DIALECT,
            db=relations.MAIN,
            identify=False,
            quote_identifiers=False,
        )
        return annotate_types(query, schema=schema, dialect=DIALECT)
    except SqlglotError:
        raise DefinitionError(f"{view.where}: sqlglot cannot qualify it.") from None


def script(
    dialect: str,
    roots: tuple[str, ...] = (),
    *,
    namespace: str = NAMESPACE,
    folders: tuple[Path, ...] = (),
) -> Iterator[str]:
    """Yield the library as a script of CREATE VIEW statements in another dialect.

    Args:
        dialect: One of ``DIALECTS``.
        roots: Only these views and what they stand on; all when empty.
        namespace: Schema of tables and views there.
        folders: A site's folders with views.
    """
    yield (
        f"-- The views of the clinical lakehouse for {dialect}. They expect the Iceberg tables in "
        f"the schema {namespace},\n-- the code sets (catalog/codes/*.csv, without the lines that "
        "begin with #) in the schema codes, and a session in UTC."
    )
    for translation in translate(dialect, roots, namespace=namespace, folders=folders):
        if translation.why:
            yield f"-- {translation.view.name} is left out: {translation.why}"
        else:
            yield (
                f"-- {translation.view.title}\n"
                f"CREATE OR REPLACE VIEW {namespace}.{translation.view.name} AS\n{translation.sql};"
            )

"""Where a column of a view comes from, down to the columns of the tables, step by step.

sqlglot follows the column through one view's SQL to the relations it reads; this goes on from
there, view by view. A count of rows has no column behind it: it comes from ``relation.*``.
Columns that only filter or join are not part of a value's lineage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlglot.lineage import lineage as follow

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import QueryError, did_you_mean
from lakehouse.query.views import relations
from lakehouse.query.views.docs import column_docs
from lakehouse.query.views.library import load_views
from lakehouse.query.views.macros import with_arguments, written_out
from lakehouse.query.views.view import CODES, DIALECT, View

ROWS = "*"
"""Stands for the rows of a relation where a value counts them."""


@dataclass(frozen=True)
class Origin:
    """A column and what it is made from.

    Attributes:
        relation: View, table or ``codes.<stem>``.
        column: Name of the column, or ``*`` for its rows.
        doc: What it holds; may be empty.
        inputs: Columns it is made from; none for a table or code set.
    """

    relation: str
    column: str
    doc: str = ""
    inputs: tuple[Origin, ...] = ()

    @property
    def name(self) -> str:
        """``relation.column``."""
        return f"{self.relation}.{self.column}"

    def walk(self) -> Iterator[Origin]:
        """Yield this column and everything it is made from."""
        yield self
        for each in self.inputs:
            yield from each.walk()


def lineage(name: str, folders: tuple[Path, ...] = ()) -> Origin:
    """Return where a column of a view comes from.

    Args:
        name: ``view.column``.
        folders: A site's folders with views.

    Raises:
        QueryError: There is no such view or column.

    Examples:
        >>> origin = lineage("patient_identities.old_patient_id")
        >>> any(o.relation == "patient_links" for o in origin.walk())
        True
    """
    relation, _, column = name.rpartition(".")
    views = load_views(folders)
    if relation not in views:
        raise QueryError(
            f"There is no view named {relation or column}.",
            did_you_mean(relation or column, views) or "Name it as view.column.",
        )
    if column not in views[relation].columns:
        raise QueryError(
            f"The view {relation} has no column named {column}.",
            did_you_mean(column, views[relation].columns),
        )
    return Follower(views, relations.columns((relation,), folders)).origin(relation, column)


class Follower:
    """Follows columns from view to view, each once.

    Args:
        views: All views.
        schema: Columns of what they read.
    """

    def __init__(self, views: Mapping[str, View], schema: relations.Columns) -> None:
        self._views = views
        self._schema = schema
        self._docs: dict[str, dict[str, str]] = {}
        self._known: dict[tuple[str, str], Origin] = {}

    def origin(self, relation: str, column: str) -> Origin:
        """Return a column with everything it is made from."""
        key = relation, column
        if key not in self._known:
            self._known[key] = self._follow(relation, column)
        return self._known[key]

    def _follow(self, relation: str, column: str) -> Origin:
        tables = load_tables()
        if column == ROWS:
            return Origin(relation, column, "rows counted")
        if relation in self._views:
            view = self._views[relation]
            inputs = tuple(self.origin(*each) for each in self._inputs(view, column))
            docs = column_docs(view, self._views, self._docs)
            return Origin(relation, column, docs.get(column, ""), inputs)
        if relation in tables and column in tables[relation].columns:
            return Origin(relation, column, tables[relation].columns[column].doc)
        return Origin(relation, column)

    def _inputs(self, view: View, column: str) -> list[tuple[str, str]]:
        """Return the columns of other relations that one column of a view is made from."""
        tree = follow(
            column,
            with_arguments(
                written_out(view, self._views), view.parameters, [exp.null()] * len(view.parameters)
            ),
            schema=self._schema,
            dialect=DIALECT,
            db=relations.MAIN,
        )
        found = set()
        for node in tree.walk():
            if node.downstream:
                continue
            if isinstance(node.source, exp.Table):
                name = node.name.rpartition(".")[2].strip('"')
                found.add((_named(node.source), name))
            else:
                found.update((r, ROWS) for r in _counted(node))
        return sorted(found)


def _counted(node: Any) -> set[str]:
    """Return the relations whose rows an expression without columns counts."""
    columns = node.expression.find(exp.Column)
    if columns is not None or node.expression.find(exp.Count) is None:
        return set()
    return {_named(t) for t in node.source.find_all(exp.Table) if t.db}


def _named(table: Any) -> str:
    return f"{CODES}.{table.name}" if table.db == CODES else str(table.name)


def drawn(origin: Origin) -> str:
    """Return the lineage as a tree in text; what was drawn once is not repeated.

    Examples:
        >>> print(drawn(Origin("v", "n", "", (Origin("t", "a", "A."), Origin("t", "b")))))
        v.n
        ├─ t.a  A.
        └─ t.b
    """
    seen: set[str] = set()

    def lines(node: Origin, lead: str, branch: str) -> Iterator[str]:
        again = node.name in seen and node.inputs
        seen.add(node.name)
        yield f"{lead}{branch}{node.name}" + ("  (see above)" if again else _doc(node))
        if again:
            return
        below = lead + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for i, each in enumerate(node.inputs):
            yield from lines(each, below, "└─ " if i == len(node.inputs) - 1 else "├─ ")

    return "\n".join(lines(origin, "", ""))


def _doc(node: Origin) -> str:
    return f"  {node.doc}" if node.doc else ""

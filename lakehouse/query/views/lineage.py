"""Column lineage: the columns of views and tables from which a view computes a column.

sqlglot traces a column within the SQL of one view; this module goes on from view to view. A count
of rows comes from no column but from ``relation.*``. Columns that only filter or join are not part
of the lineage.
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
"""The rows of a relation, as the origin of a value that counts them."""


@dataclass(frozen=True)
class Origin:
    """A node of a column's lineage: the column and its input columns.

    Attributes:
        relation: View, table or ``codes.<stem>``.
        column: Name of the column, or ``*`` for its rows.
        doc: What it holds; may be empty.
        inputs: Columns from which it is computed; none for a table or code set.
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
        """Yield this column and all columns in its lineage."""
        yield self
        for each in self.inputs:
            yield from each.walk()


def lineage(name: str, folders: tuple[Path, ...] = ()) -> Origin:
    """Return the lineage of a view's column.

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
    return ColumnTracer(views, relations.columns((relation,), folders)).origin(relation, column)


class ColumnTracer:
    """Traces the lineage of columns from view to view, each column once.

    Args:
        views: All views.
        schema: Columns of the relations that they read.
    """

    def __init__(self, views: Mapping[str, View], schema: relations.Columns) -> None:
        self._views = views
        self._schema = schema
        self._docs: dict[str, dict[str, str]] = {}
        self._origins: dict[tuple[str, str], Origin] = {}

    def origin(self, relation: str, column: str) -> Origin:
        """Return a column with its lineage."""
        key = relation, column
        if key not in self._origins:
            self._origins[key] = self._follow(relation, column)
        return self._origins[key]

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
        """Return the columns of other relations from which a view computes a column."""
        tree = follow(
            column,
            with_arguments(
                written_out(view, self._views), view.parameters, [exp.null()] * len(view.parameters)
            ),
            schema=self._schema,
            dialect=DIALECT,
            db=relations.MAIN,
        )
        origins = set()
        for node in tree.walk():
            if node.downstream:
                continue
            if isinstance(node.source, exp.Table):
                name = node.name.rpartition(".")[2].strip('"')
                origins.add((_relation_name(node.source), name))
            else:
                origins.update((r, ROWS) for r in _counted_relations(node))
        return sorted(origins)


def _counted_relations(node: Any) -> set[str]:
    """Return the relations whose rows an expression without columns counts."""
    columns = node.expression.find(exp.Column)
    if columns is not None or node.expression.find(exp.Count) is None:
        return set()
    return {_relation_name(t) for t in node.source.find_all(exp.Table) if t.db}


def _relation_name(table: Any) -> str:
    return f"{CODES}.{table.name}" if table.db == CODES else str(table.name)


def draw_tree(origin: Origin) -> str:
    """Return the lineage as a tree in text; a column that occurs again has no branches.

    Examples:
        >>> print(draw_tree(Origin("v", "n", "", (Origin("t", "a", "A."), Origin("t", "b")))))
        v.n
        ├─ t.a  A.
        └─ t.b
    """
    printed: set[str] = set()

    def lines(node: Origin, lead: str, branch: str) -> Iterator[str]:
        again = node.name in printed and node.inputs
        printed.add(node.name)
        yield f"{lead}{branch}{node.name}" + ("  (see above)" if again else _doc(node))
        if again:
            return
        below = lead + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for i, each in enumerate(node.inputs):
            yield from lines(each, below, "└─ " if i == len(node.inputs) - 1 else "├─ ")

    return "\n".join(lines(origin, "", ""))


def _doc(node: Origin) -> str:
    return f"  {node.doc}" if node.doc else ""

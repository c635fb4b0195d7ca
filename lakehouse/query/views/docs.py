"""What views say of themselves and of their columns, for BI tools, the command line and lineage."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.definitions.tables import load_tables
from lakehouse.query.views.view import View, sql_literal


def column_docs(
    view: View, views: Mapping[str, View], known: dict[str, dict[str, str]] | None = None
) -> dict[str, str]:
    """Return what each column holds: its own doc, else that of the input it is passed on from.

    An input's doc counts when every input that has a column of the name says the same of it.

    Args:
        view: The view.
        views: All views.
        known: What is known already, by view; filled on the way.
    """
    known = {} if known is None else known
    if view.name in known:
        return known[view.name]
    tables = load_tables()
    inputs: list[Mapping[str, str]] = []
    for source in view.inputs:
        if source in tables:
            inputs.append({c.name: c.doc for c in tables[source].columns.values()})
        elif source in views:
            docs = column_docs(views[source], views, known)
            inputs.append({c: docs.get(c, "") for c in views[source].columns})
    known[view.name] = dict(view.docs)
    for name in view.columns:
        said = {docs[name] for docs in inputs if name in docs}
        if name not in view.docs and len(said) == 1 and said != {""}:
            known[view.name][name] = said.pop()
    return known[view.name]


def comments(view: View, docs: Mapping[str, str]) -> list[str]:
    """Return the COMMENT statements that publish a view's front matter and its column docs."""
    about = f"{view.title}. {view.description}" + (f" Source: {view.source}" if view.source else "")
    statements = [comment_on(view, sql_literal(about))]
    if not view.parameters:
        statements += [
            f'COMMENT ON COLUMN {view.name}."{column}" IS {sql_literal(doc)}'
            for column, doc in docs.items()
        ]
    return statements


def comment_on(view: View, text: str) -> str:
    """Return the COMMENT statement of a view or macro; the text is a SQL literal."""
    return f"COMMENT ON {'MACRO TABLE' if view.parameters else 'VIEW'} {view.name} IS {text}"

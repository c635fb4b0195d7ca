"""Documentation of views and their columns, for BI tools, the command line and lineage."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.definitions.tables import load_tables
from lakehouse.query.views.view import View, sql_literal


def column_docs(
    view: View, views: Mapping[str, View], cache: dict[str, dict[str, str]] | None = None
) -> dict[str, str]:
    """Return the doc of each column: its own, else that of the input with a column of this name.

    An input's doc counts when all inputs with a column of the name have the same doc.

    Args:
        view: The view.
        views: All views.
        cache: Docs by view, to reuse between calls; filled on the way.
    """
    cache = {} if cache is None else cache
    if view.name in cache:
        return cache[view.name]
    tables = load_tables()
    inputs: list[Mapping[str, str]] = []
    for source in view.inputs:
        if source in tables:
            inputs.append({c.name: c.doc for c in tables[source].columns.values()})
        elif source in views:
            docs = column_docs(views[source], views, cache)
            inputs.append({c: docs.get(c, "") for c in views[source].columns})
    cache[view.name] = dict(view.docs)
    for name in view.columns:
        texts = {docs[name] for docs in inputs if name in docs}
        if name not in view.docs and len(texts) == 1 and texts != {""}:
            cache[view.name][name] = texts.pop()
    return cache[view.name]


def comments(view: View, docs: Mapping[str, str]) -> list[str]:
    """Return the COMMENT statements with a view's front matter and its column docs."""
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

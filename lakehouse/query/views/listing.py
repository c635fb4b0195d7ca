"""What SQL itself can ask of the library: ``lakehouse_views()`` and ``lakehouse_columns('egfr')``.

DuckDB's DESCRIBE shows no comments, and its list of views no titles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lakehouse.query.views.view import View, sql_literal

LIST_VIEWS, LIST_COLUMNS = "lakehouse_views", "lakehouse_columns"

DATABASE_COLUMNS = f"""CREATE MACRO {LIST_COLUMNS}(name) AS TABLE
SELECT column_name, data_type AS column_type, comment AS about
FROM system.main.duckdb_columns()
WHERE NOT internal AND schema_name = 'main' AND table_name = lower(name)
ORDER BY column_index"""
"""Creates ``lakehouse_columns`` in a database whose views have their docs as comments."""


def views_macro(views: Iterable[View]) -> str:
    """Return the statement that creates ``lakehouse_views``: the library, by topic."""
    rows = [
        (view.name, view.topic, view.title, ", ".join(view.grain), view.requires)
        for view in sorted(views, key=lambda v: (v.topic, v.name))
    ]
    return (
        f"CREATE OR REPLACE MACRO {LIST_VIEWS}() AS TABLE SELECT name, topic, title, grain, "
        f"nullif(requires, '') AS requires FROM {_values(rows)} "
        "AS listed (name, topic, title, grain, requires)"
    )


def columns_macro(described: Mapping[str, Iterable[tuple[str, str, str]]]) -> str:
    """Return the statement that creates ``lakehouse_columns`` for some tables and views.

    Args:
        described: Of each: its columns, with their types and what they hold.
    """
    rows = [(relation, *column) for relation, columns in described.items() for column in columns]
    return (
        f"CREATE OR REPLACE MACRO {LIST_COLUMNS}(name) AS TABLE SELECT column_name, column_type, "
        f"nullif(about, '') AS about FROM {_values(rows)} "
        "AS listed (relation, column_name, column_type, about) WHERE relation = lower(name)"
    )


def _values(rows: Iterable[Sequence[str]]) -> str:
    lines = (f"({', '.join(map(sql_literal, row))})" for row in rows)
    return f"(VALUES {', '.join(lines)})"

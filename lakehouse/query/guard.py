"""What a person's SQL may be: one SELECT that names tables, views and code sets, nothing else.

The statement is judged by DuckDB's own syntax tree (``json_serialize_sql``, which has a tree for a
SELECT only), so no second parser can be led astray. A connection that runs it is besides
locked: no file access outside the warehouse's tables, no settings, no extensions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import duckdb

from lakehouse.errors import QueryError, did_you_mean
from lakehouse.query import faults

TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"}
)
"""Table functions that make rows out of their arguments; every other may read a file."""

BARRED_FUNCTIONS = frozenset(
    {"getenv", "current_setting", "getvariable", "nextval", "currval", "write_log", "set_config"}
)
"""Functions that read or change the session's surroundings."""

INFORMATION = frozenset({"tables", "columns", "schemata"})
"""What of ``information_schema`` a query may read."""


@dataclass
class Reads:
    """What a statement reads.

    Attributes:
        names: Tables, views and macros.
        codes: Code sets, without their schema.
        everything: It lists what there is (SHOW, ``information_schema``).
    """

    names: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    everything: bool = False


def check(
    con: duckdb.DuckDBPyConnection, sql: str, known: Set[str], codes: Set[str] = frozenset()
) -> Reads:
    """Return what a statement reads, when it is one that may run.

    Args:
        con: Any connection; it parses, and runs nothing of the statement.
        sql: The statement.
        known: Names of tables, views and macros.
        codes: Names of code sets.

    Raises:
        QueryError: It is not one SELECT, or reads something else than those names.

    Examples:
        >>> sorted(check(duckdb.connect(), "SELECT count(*) FROM patients", {"patients"}).names)
        ['patients']
    """
    row = con.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error"):
        raise _refusal(con, sql)
    statements = tree["statements"]
    if len(statements) != 1:
        raise QueryError(
            "There is no SQL to run." if not statements else "This is more than one statement.",
            "Give one SELECT.",
        )
    reads = Reads()
    _Walk(reads, known, codes).node(statements[0], frozenset())
    return reads


def _refusal(con: duckdb.DuckDBPyConnection, sql: str) -> QueryError:
    """Return why a statement has no tree: it does not parse, or is no SELECT."""
    try:
        kinds = [statement.type.name for statement in con.extract_statements(sql)]
    except duckdb.Error as error:
        return faults.query_error(error)
    if kinds[-2:] == ["CREATE", "SELECT"]:
        return QueryError(
            "PIVOT needs the values it makes columns of.", "Write PIVOT ... ON x IN ('a', 'b')."
        )
    kind = kinds[0] if kinds[0] != "SELECT" else "PRAGMA"
    return QueryError(
        f"Only a SELECT can run here, and this is {_article(kind)}.",
        "Rows change by `lakehouse ingest` and `lakehouse forget`; a query reads.",
    )


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"


@dataclass
class _Walk:
    """Walks DuckDB's syntax tree with the CTE names that are in scope."""

    reads: Reads
    known: Set[str]
    codes: Set[str]

    def node(self, node: Any, scope: frozenset[str]) -> None:
        if isinstance(node, list):
            for child in node:
                self.node(child, scope)
        elif isinstance(node, dict):
            scope = self._with_ctes(node, scope)
            self._judge(node, scope)
            for key, child in node.items():
                if key != "cte_map":
                    self.node(child, scope)

    def _with_ctes(self, node: Mapping[str, Any], scope: frozenset[str]) -> frozenset[str]:
        """Walk a node's CTEs, each of which sees the ones before it (itself, if recursive)."""
        for name, body in _ctes(node):
            recursive = body["node"]["type"] == "RECURSIVE_CTE_NODE"
            self.node(body, scope | {name} if recursive else scope)
            scope |= {name}
        return scope

    def _judge(self, node: Mapping[str, Any], scope: frozenset[str]) -> None:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            self._table(node, scope)
        elif kind == "TABLE_FUNCTION":
            self._table_function(str(node["function"]["function_name"]).lower())
        elif kind == "SHOW_REF" and not node.get("query"):  # with one, it is DESCRIBE name
            self.reads.everything = True
        elif node.get("class") == "FUNCTION" and node["function_name"].lower() in BARRED_FUNCTIONS:
            raise QueryError(f"The function {node['function_name']} is not available in a query.")

    def _table(self, node: Mapping[str, Any], scope: frozenset[str]) -> None:
        name, schema = str(node["table_name"]).lower(), str(node.get("schema_name", "")).lower()
        if node.get("at_clause"):
            raise QueryError(
                "AT (...) is not available in a query.",
                "Open the warehouse as of a time: lakehouse.open(path, as_of=...), or --as-of.",
            )
        if not schema and name in scope:
            return
        if schema == "information_schema" and name in INFORMATION:
            self.reads.everything = True
        elif schema == "codes" and name in self.codes:
            self.reads.codes.add(name)
        elif schema in ("", "main") and name in self.known and not node.get("catalog_name"):
            self.reads.names.add(name)
        else:
            asked = f"{schema}.{name}" if schema else name
            near = did_you_mean(asked, [*self.known, *(f"codes.{c}" for c in self.codes)])
            raise QueryError(
                f"There is no table or view named {asked}.",
                near or "`lakehouse tables` and `lakehouse views` list what there is.",
            )

    def _table_function(self, name: str) -> None:
        if name in self.known:
            self.reads.names.add(name)
        elif name not in TABLE_FUNCTIONS:
            raise QueryError(
                f"The table function {name} is not available in a query.",
                "A query names tables and views of the warehouse; it reads no file.",
            )


def _ctes(node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    entries = node.get("cte_map") or {}
    for entry in entries.get("map", []):
        yield str(entry["key"]).lower(), entry["value"]["query"]

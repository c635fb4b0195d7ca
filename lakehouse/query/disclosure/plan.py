"""Plans a query for small-cell suppression: checks its form and adds the counts it needs.

Two forms are accepted, and each is rebuilt from its checked parts:

- a grouped SELECT over one table or view with a ``patient_id``, others joined by it: keys of its
  columns, and counts, sums, means, medians and standard deviations of plain columns;
- the rows of a view with counts, which declares its ``cells``.

Every other form is refused with an alternative. A subquery, a window, HAVING, FILTER or an
expression within an aggregate counts a part of a group, or answers yes or no about it. A minimum
or maximum is the value of one patient. A key of patients or visits shows single ones. ORDER BY and
LIMIT apply to the blanked rows (see ``suppress``).

Two queries with different conditions can still reveal a small group by their difference. So a
person must review a result before it is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from lakehouse.errors import QueryError
from lakehouse.query.disclosure.eligible import (
    ADVICE,
    BEHIND,
    COUNT,
    PASSES_WHERE,
    PATIENT_KEYS,
    Measure,
    Relations,
    aggregates,
    check_allowed,
    not_eligible,
    same_expression,
)
from lakehouse.query.disclosure.grouped import GroupedQuery
from lakehouse.query.views.view import DIALECT, PATIENTS


@dataclass(frozen=True)
class Plan:
    """The rewritten query, and the roles of its result columns.

    Attributes:
        sql: The query with the columns that suppression needs, without ORDER BY and LIMIT.
        keys: Result columns that identify a cell.
        shown: Result columns that the user selected, in order.
        measures: The other result columns.
        order: Columns to sort by, each with whether it descends.
        limit: Most rows of the final result, or None.
        offset: Rows to skip in the final result.
    """

    sql: str
    keys: tuple[str, ...]
    shown: tuple[str, ...]
    measures: tuple[Measure, ...]
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    offset: int = 0


def plan_query(sql: str, relations: Relations) -> Plan:
    """Return the plan of a query for small-cell suppression.

    Args:
        sql: A query that has passed the guard.
        relations: The tables and views.

    Raises:
        QueryError: The query has another form than the two; the message gives an alternative.
    """
    try:
        query = sqlglot.parse_one(sql, dialect=DIALECT)
    except sqlglot.errors.SqlglotError:
        raise not_eligible("this SQL") from None
    _check_shape(query)
    limit, offset = _number(query, "limit"), _number(query, "offset") or 0
    calls = [e for e in query.selects if any(True for _ in aggregates(e))]
    grouped = query.args.get("group") or calls
    run, keys, measures, shown = (GroupedQuery if grouped else CountedView)(
        query, relations
    ).rewrite()
    order = tuple(_order(query, shown))
    return Plan(run.sql(dialect=DIALECT), keys, tuple(shown), measures, order, limit, offset)


_REMEDIES = {
    "with_": "Name the tables and views themselves; a view of your own can hold the WITH.",
    "having": "Leave HAVING out and choose among the rows of the result.",
    "qualify": "Leave QUALIFY out.",
    "distinct": "GROUP BY the columns and add count(*).",
    "windows": "Leave WINDOW out.",
    "laterals": "Name tables and views only.",
    "sample": "Leave the sample out.",
}
_ALLOWED_PARTS = {"expressions", "from_", "joins", "where", "group", "order", "limit", "offset"}


def _check_shape(query: Any) -> None:
    if not isinstance(query, exp.Select):
        raise not_eligible("more than one plain SELECT", "Ask each SELECT by itself.")
    for part, value in query.args.items():
        if value and part not in _ALLOWED_PARTS:
            raise not_eligible(f"{part.strip('_').upper()}", _REMEDIES.get(part, ADVICE))
    for node in query.walk():
        if isinstance(node, (exp.Subquery, exp.Query)) and node is not query:
            raise not_eligible(
                "a subquery", "Name tables and views; a view of your own can hold the subquery."
            )
        if isinstance(node, exp.Window):
            raise not_eligible("a window (OVER)", "Leave it out and compute it from the result.")
        if isinstance(node, exp.Filter):
            raise not_eligible(
                "FILTER", "GROUP BY what it asks: SELECT sex, count(*) ... GROUP BY sex."
            )
        if isinstance(node, exp.TableSample):
            raise not_eligible("a sample", _REMEDIES["sample"])
    if not query.args.get("from_"):
        raise not_eligible("a SELECT without FROM")


def _number(query: Any, part: str) -> int | None:
    """Return the number of LIMIT or OFFSET."""
    clause = query.args.get(part)
    if clause is None:
        return None
    value = clause.expression
    options = clause.args.get("limit_options")
    percent = options is not None and options.args.get("percent")
    if percent or not (isinstance(value, exp.Literal) and value.is_int):
        raise QueryError(
            f"With a minimum cell size, {part.upper()} is a plain number.",
            "Write the number itself.",
        )
    return int(value.this)


def _order(query: Any, shown: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the result columns of ORDER BY, each with whether it descends."""
    names = list(shown)
    for each in query.args["order"].expressions if query.args.get("order") else []:
        by, falls = each.this, bool(each.args.get("desc"))
        if isinstance(by, exp.Var) and by.name.upper() == "ALL":
            yield from ((n, falls) for n in names)
        elif isinstance(by, exp.Literal) and by.is_int and 0 < int(by.this) <= len(names):
            yield names[int(by.this) - 1], falls
        else:
            alike = [
                n
                for n, e in shown.items()
                if (isinstance(by, exp.Column) and not by.table and by.name.lower() == n.lower())
                or same_expression(by, e)
            ]
            if not alike:
                raise not_eligible(
                    "an ORDER BY of something else than the result", "Sort by its columns."
                )
            yield alike[0], falls


class CountedView:
    """A SELECT of the rows of a view with counts, and its rewriting."""

    def __init__(self, query: Any, relations: Relations) -> None:
        source = query.args["from_"].this
        name = source.name.lower() if isinstance(source, exp.Table) else ""
        if name not in relations.cells or query.args.get("joins"):
            columns = relations.columns_of(name) if name else ()
            raise QueryError(
                "A minimum cell size needs groups, and these are rows of single patients."
                if set(PATIENT_KEYS) & set(columns)
                else "A minimum cell size needs a grouped result.",
                f"Group them: SELECT key, count(*) AS n FROM {name} GROUP BY key."
                if columns
                else ADVICE,
            )
        self._query, self._name = query, name
        self._grain, self._cells = tuple(relations.grain[name]), relations.cells[name]

    def rewrite(self) -> tuple[Any, tuple[str, ...], tuple[Measure, ...], dict[str, Any]]:
        """Return the query to run, its keys, its measures and the selected columns."""
        open_to = [*self._grain, *(n for c, own in self._cells.items() for n in (c, *own))]
        shown: dict[str, Any] = {}
        for item in self._query.selects:
            inner = item.unalias()
            if isinstance(inner, exp.Star) and not any(inner.args.values()):
                shown |= {n: exp.column(n) for n in open_to}
                continue
            if not isinstance(inner, exp.Column) or inner.name.lower() not in open_to:
                raise not_eligible(
                    f"this column of {self._name}", f"Its columns are: {', '.join(open_to)}."
                )
            shown[item.alias_or_name] = exp.column(inner.name.lower())
        as_named = {e.name: n for n, e in shown.items()}
        # the lines depend on all keys, selected or not
        run = exp.select(
            *(exp.alias_(e.copy(), n, quoted=True) for n, e in shown.items()),
            *(exp.alias_(exp.column(k), f"_cell_{k}") for k in self._grain if k not in as_named),
            exp.alias_(exp.column(PATIENTS), COUNT),
        ).from_(self._name)
        measures = []
        for number, (count, own) in enumerate(self._cells.items()):
            names = tuple(as_named[n] for n in (count, *own) if n in as_named)
            behind = COUNT if count == PATIENTS else f"{BEHIND}{number}"
            if names:
                measures.append(Measure(names, behind, has_complement=count != PATIENTS))
            if names and count != PATIENTS:
                run = run.select(exp.alias_(exp.column(count), behind))
        if where := self._query.args.get("where"):
            # the rows that WHERE excludes are cells of the same lines, so it applies in the end
            check_allowed(where.this, self._check_key)
            condition = where.this.copy()
            for column in condition.find_all(exp.Column):
                column.set("table", None)
            run = run.select(exp.alias_(exp.paren(condition), PASSES_WHERE))
        keys = tuple(as_named.get(k, f"_cell_{k}") for k in self._grain)
        return run, keys, tuple(measures), shown

    def _check_key(self, column: Any) -> None:
        if column.name.lower() not in self._grain:
            raise not_eligible("a condition on a figure", f"Ask {', '.join(self._grain)} only.")

"""Small cells: groups of too few patients are blanked, and what would give them back as well.

The outer SELECT has to group. Each row then gets the number of distinct patients behind it; a row
with fewer than the limit (and more than none) keeps its keys and loses every figure. Because the
total of a line of the table can be asked for by itself, a line never has blanks whose sum is known
and small: while it has one blank, or blanks of fewer patients than the limit together, its next
smallest row is blanked too. A line is the rows that differ in one key only.

LIMIT and HAVING are applied after that: a row that they hide could be had by subtraction.
Queries compared with each other, each with another WHERE, can still reveal a small group; so a
result that leaves the house needs a person's eye besides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp

from lakehouse.errors import QueryError
from lakehouse.query.views import DIALECT

PATIENTS = "n_patients"
"""Column with the number of distinct patients behind a row."""

SUPPRESSED = "suppressed"
"""Column that says why a row is blank: ``small``, or ``complementary``."""

_COUNT, _LEVEL, _KEPT = "_cell_patients", "_cell_level", "_cell_kept"
_REMEDY = (
    "Group the outer SELECT over something with a patient_id, or read a population view with its "
    f"{PATIENTS}."
)


@dataclass(frozen=True)
class Plan:
    """How a query is run for suppression.

    Attributes:
        sql: The query with the columns it takes, without LIMIT and HAVING.
        keys: Result columns that name a cell.
        limit: Rows to keep in the end, or None.
        offset: Rows to pass over in the end.
    """

    sql: str
    keys: tuple[str, ...]
    limit: int | None = None
    offset: int = 0


def plan(
    sql: str, columns_of: Callable[[str], Sequence[str]], grain: Mapping[str, Sequence[str]]
) -> Plan:
    """Return how to run a query so that small cells can be found.

    Args:
        sql: A query that the guard has let through.
        columns_of: Columns of a table or view, by its name.
        grain: Key columns of each view.

    Raises:
        QueryError: The result is not grouped, or nothing tells patients apart.
    """
    query = sqlglot.parse_one(sql, dialect=DIALECT)
    if not isinstance(query, exp.Select) or query.args.get("qualify") or query.args.get("distinct"):
        raise QueryError("A minimum cell size needs one plain, grouped SELECT.", _REMEDY)
    limit, offset = _number(query, "limit"), _number(query, "offset") or 0
    grouped = query.args.get("group") or any(e.find(exp.AggFunc) for e in query.selects)
    if not grouped:
        return _passed_on(query, grain, limit, offset)
    if query.is_star:
        raise QueryError("A grouped SELECT names its columns.", _REMEDY)
    keys = tuple(e.alias_or_name for e in query.selects if not e.find(exp.AggFunc))
    given = next((e for e in query.selects if e.alias_or_name == PATIENTS), None)
    count = (
        given.unalias() if given is not None and _counts(given) else _distinct(query, columns_of)
    )
    query = query.select(exp.alias_(count.copy(), _COUNT), copy=False)
    levels = _levels(query)
    if levels is not None:
        query = query.select(exp.alias_(levels, _LEVEL), copy=False)
    if having := query.args.get("having"):
        query = query.select(exp.alias_(exp.paren(having.this.copy()), _KEPT), copy=False)
        query.set("having", None)
    return Plan(query.sql(dialect=DIALECT), keys, limit, offset)


def _number(query: Any, part: str) -> int | None:
    """Take LIMIT or OFFSET off a query and return its number."""
    found = query.args.get(part)
    if found is None:
        return None
    query.set(part, None)
    value = found.expression
    options = found.args.get("limit_options")
    percent = options is not None and options.args.get("percent")
    if percent or not (isinstance(value, exp.Literal) and value.is_int):
        raise QueryError(f"With a minimum cell size, {part.upper()} is a plain number.")
    return int(value.this)


def _passed_on(
    query: Any, grain: Mapping[str, Sequence[str]], limit: int | None, offset: int
) -> Plan:
    """Plan a SELECT that hands on the rows of one population view."""
    read = [t.name for t in query.find_all(exp.Table)]
    plain = len(read) == 1 and read[0] in grain
    names = {e.alias_or_name for e in query.selects}
    whole = [e for e in query.selects if isinstance(e, exp.Star)]
    counted = whole or any(isinstance(e, exp.Column) and e.name == PATIENTS for e in query.selects)
    if not plain or not counted:
        raise QueryError("A minimum cell size needs a grouped result.", _REMEDY)
    keys = tuple(k for k in grain[read[0]] if whole or k in names)
    query = query.select(exp.alias_(exp.column(PATIENTS), _COUNT), copy=False)
    return Plan(query.sql(dialect=DIALECT), keys, limit, offset)


def _counts(given: Any) -> bool:
    """Return whether an ``n_patients`` that a query names itself counts patients."""
    inner = given.unalias()
    if isinstance(inner, exp.Sum):
        return isinstance(inner.this, exp.Column) and inner.this.name == PATIENTS
    if not isinstance(inner, exp.Count) or not isinstance(inner.this, exp.Distinct):
        return False
    counted = inner.this.expressions
    return len(counted) == 1 and getattr(counted[0], "name", "") == "patient_id"


def _distinct(query: Any, columns_of: Callable[[str], Sequence[str]]) -> Any:
    """Return ``count(DISTINCT x.patient_id)`` over the first source that has one."""
    ctes = {c.alias_or_name: c.this for c in query.ctes}
    joined = [j.this for j in query.args.get("joins") or []]
    for source in [query.args["from_"].this, *joined] if query.args.get("from_") else []:
        if isinstance(source, exp.Subquery):
            columns = source.this.named_selects
        elif source.name in ctes and not source.db:
            columns = ctes[source.name].named_selects
        else:
            columns = columns_of(source.name)
        if "patient_id" in columns or "*" in columns:
            patient = exp.column("patient_id", table=source.alias_or_name or None)
            return exp.Count(this=exp.Distinct(expressions=[patient]))
        if PATIENTS in columns:
            return exp.Sum(this=exp.column(PATIENTS, table=source.alias_or_name or None))
    raise QueryError("Nothing in this query tells patients apart.", _REMEDY)


def _levels(query: Any) -> Any | None:
    """Return GROUPING(keys) when the query has totals of its own (ROLLUP, CUBE, GROUPING SETS)."""
    group = query.args.get("group")
    sets = [
        s for k in ("rollup", "cube", "grouping_sets") for s in (group and group.args.get(k)) or []
    ]
    columns = {c.sql(): c.copy() for s in sets for c in s.find_all(exp.Column)}
    if not columns:
        return None
    return exp.Anonymous(this="GROUPING", expressions=list(columns.values()))


def suppress(rows: pa.Table, how: Plan, minimum: int) -> pa.Table:
    """Return the rows with small cells blanked, and a column that says which and why.

    Args:
        rows: The result of ``how.sql``.
        how: The plan.
        minimum: Least number of patients of a cell that is shown.
    """
    counts = [int(n or 0) for n in rows.column(_COUNT).to_pylist()]
    levels = rows.column(_LEVEL).to_pylist() if _LEVEL in rows.column_names else [0] * len(counts)
    keys = list(zip(*(rows.column(k).to_pylist() for k in how.keys), strict=True)) or [()] * len(
        counts
    )
    small = {i for i, n in enumerate(counts) if 0 < n < minimum}
    blank = small | complements(keys, levels, counts, small, minimum)
    kept = rows.column(_KEPT).to_pylist() if _KEPT in rows.column_names else None
    shown = [i for i in range(len(counts)) if kept is None or (kept[i] and i not in blank)]
    # A blank row's place in an order by its figures would tell about them.
    shown.sort(key=lambda i: (i in blank, str(keys[i]) if i in blank else ""))
    shown = shown[how.offset :][: how.limit]
    why = ["small" if i in small else "complementary" if i in blank else None for i in shown]
    ordered = rows.drop_columns([c for c in (_COUNT, _LEVEL, _KEPT) if c in rows.column_names])
    ordered = ordered.take(pa.array(shown, pa.int64()))
    mask = pa.array([w is not None for w in why], pa.bool_())
    columns = [
        ordered.column(n) if n in how.keys else _blanked(ordered.column(n), mask)
        for n in ordered.column_names
    ]
    return pa.table(
        [*columns, pa.array(why, pa.string())], names=[*ordered.column_names, SUPPRESSED]
    )


def _blanked(column: pa.ChunkedArray, mask: pa.Array) -> pa.ChunkedArray:
    return pc.if_else(mask, pa.scalar(None, column.type), column)


def complements(
    keys: Sequence[tuple[Any, ...]],
    levels: Sequence[int],
    counts: Sequence[int],
    small: set[int],
    minimum: int,
) -> set[int]:
    """Return the further cells to blank so that no total gives a small one back.

    Examples:
        >>> complements([("a",), ("b",), ("c",)], [0, 0, 0], [5, 40, 20], {0}, 11)
        {2}
    """
    lines: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        for position in range(len(key)):
            lines[levels[i], position, key[:position], key[position + 1 :]].append(i)
    blank = set(small)
    changed = True
    while changed:
        changed = False
        for cells in lines.values():
            hidden = [i for i in cells if i in blank]
            open_cells = [i for i in cells if i not in blank and counts[i] > 0]
            exposed = len(hidden) == 1 or sum(counts[i] for i in hidden) < minimum
            if hidden and open_cells and exposed:
                blank.add(min(open_cells, key=lambda i: (counts[i], i)))
                changed = True
    return blank - small

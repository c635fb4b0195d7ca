"""Rewrites a grouped SELECT over rows of patients, so that each group has its patient count."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from lakehouse.errors import QueryError
from lakehouse.query.disclosure.eligible import (
    BEHIND,
    COUNT,
    LEVEL,
    VALUES,
    Measure,
    Relations,
    Sources,
    aggregates,
    check_allowed,
    is_identifying,
    not_eligible,
    same_expression,
)
from lakehouse.query.views.view import DIALECT

_FIGURES = (exp.Sum, exp.Avg, exp.Median, exp.Stddev, exp.StddevSamp)


class GroupedQuery:
    """A grouped SELECT over rows of patients, and its rewriting."""

    def __init__(self, query: Any, relations: Relations) -> None:
        self._query = query
        self._sources = Sources(query, relations)
        self._run = query.copy()
        for part in ("order", "limit", "offset", "group"):
            self._run.set(part, None)
        self._run.set("expressions", [])
        self._sum_columns: set[str] = set()

    def rewrite(self) -> tuple[Any, tuple[str, ...], tuple[Measure, ...], dict[str, Any]]:
        """Return the query to run, its keys, its measures and the selected columns."""
        shown: dict[str, Any] = {}
        keys: list[str] = []
        measures: list[Measure] = []
        run = self._run
        if where := self._query.args.get("where"):
            check_allowed(where.this, self._sources.check)
        for number, item in enumerate(self._query.selects):
            inner = item.unalias()
            name = item.alias_or_name or str(inner.sql(dialect=DIALECT)).lower()
            if isinstance(inner, exp.Star) or inner.is_star or name.startswith("_cell_"):
                raise not_eligible("a * in a grouped SELECT", "Name its columns.")
            if name.lower() in {n.lower() for n in shown}:
                raise not_eligible("two columns of one name", "Give each a name with AS.")
            shown[name] = inner
            run = run.select(exp.alias_(inner.copy(), name, quoted=True), copy=False)
            if any(True for _ in aggregates(inner)):
                measures.append(self._measure(inner, name, number))
            else:
                self._check_key(inner)
                keys.append(name)
        run.select(exp.alias_(self._count_patients(None), COUNT), copy=False)
        for figure in measures:
            self._select_counts(figure, self._argument(shown[figure.names[0]]))
        self._group_by([shown[k] for k in keys])
        return run, tuple(keys), tuple(measures), shown

    def _check_key(self, key: Any) -> None:
        check_allowed(key, self._sources.check)
        if not key.find(exp.Column) or key.find(exp.Placeholder, exp.Parameter):
            raise not_eligible("a constant beside the groups", "Leave it out.")

    def _argument(self, figure: Any) -> Any | None:
        """Return the column that an aggregate reads; None for count(*)."""
        call = figure.this if isinstance(figure, exp.Round) else figure
        if isinstance(figure, exp.Round) and not isinstance(
            figure.args.get("decimals"), (exp.Literal, type(None))
        ):
            raise self._not_a_measure()
        if isinstance(call, exp.Anonymous) and str(call.this).lower() == "mean":
            call = exp.Avg(this=call.expressions[0] if len(call.expressions) == 1 else None)
        if isinstance(call, exp.Count):
            if isinstance(call.this, exp.Star):
                return None
            if isinstance(call.this, exp.Distinct) and len(call.this.expressions) == 1:
                column = call.this.expressions[0]
                if isinstance(column, exp.Column) and is_identifying(column.name.lower()):
                    return column
            raise not_eligible(
                "a count of something else than rows, patients or visits",
                "Write count(*) and put the condition into WHERE, or into GROUP BY.",
            )
        if isinstance(call, _FIGURES) and isinstance(call.this, exp.Column):
            self._sources.check(call.this)
            if isinstance(call, exp.Sum):
                self._sum_columns.add(call.this.sql().lower())
            if len(self._sum_columns) > 1:
                raise not_eligible("sums of several columns at once", "Ask each by itself.")
            return call.this
        raise self._not_a_measure()

    @staticmethod
    def _not_a_measure() -> QueryError:
        return not_eligible(
            "this figure",
            "Use count(*), count(DISTINCT patient_id), sum, avg, median or stddev of a column; "
            "a CASE goes into GROUP BY, and min, max or a list would be one patient's own.",
        )

    def _measure(self, inner: Any, name: str, number: int) -> Measure:
        column = self._argument(inner)
        if column is None:
            return Measure((name,))
        call = inner.this if isinstance(inner, exp.Round) else inner
        whole = isinstance(call, (exp.Count, exp.Sum))
        values = "" if isinstance(call, exp.Count) else f"{VALUES}{number}"
        return Measure((name,), f"{BEHIND}{number}", whole, values)

    def _select_counts(self, figure: Measure, column: Any | None) -> None:
        """Select the numbers of patients and of distinct values behind a measure."""
        if column is None:
            return
        self._run.select(exp.alias_(self._count_patients(column), figure.count_column), copy=False)
        if figure.values_column:
            distinct = exp.Count(this=exp.Distinct(expressions=[column.copy()]))
            self._run.select(exp.alias_(distinct, figure.values_column), copy=False)

    def _count_patients(self, column: Any | None) -> Any:
        """Return the count of patients, or of those with a value; unknown patients count by row."""
        patient = self._sources.patient
        has_value = [] if column is None else [column.copy().is_(exp.null()).not_()]
        identified: Any = exp.Count(this=exp.Distinct(expressions=[patient.copy()]))
        if has_value:
            identified = exp.Filter(this=identified, expression=exp.Where(this=has_value[0]))
        unknown = exp.Filter(
            this=exp.Count(this=exp.Star()),
            expression=exp.Where(this=exp.and_(patient.copy().is_(exp.null()), *has_value)),
        )
        return exp.Add(this=identified, expression=unknown)

    def _group_by(self, keys: list[Any]) -> None:
        """Group by the keys as GROUP BY says, and select the mask of rolled-up keys."""
        group = self._query.args.get("group")
        selects = self._query.selects
        grouped: set[int] = set()

        def key(each: Any) -> Any:
            if isinstance(each, exp.Paren):
                return key(each.this)
            if isinstance(each, exp.Tuple):
                return exp.Tuple(expressions=[key(e) for e in each.expressions])
            if isinstance(each, exp.Literal) and each.is_int and int(each.this) <= len(selects):
                target = selects[int(each.this) - 1].unalias()
            else:
                by_alias = [
                    s.unalias()
                    for s in selects
                    if isinstance(each, exp.Column)
                    and not each.table
                    and s.alias.lower() == each.name.lower()
                ]
                target = by_alias[0] if by_alias else each
            for i, own in enumerate(keys):
                if same_expression(target, own):
                    grouped.add(i)
                    return own.copy()
            raise not_eligible("a GROUP BY of what is not shown", "Select each column of GROUP BY.")

        if group is None or group.args.get("all"):
            if keys and group is None:
                raise not_eligible("a SELECT without GROUP BY")
            if keys:
                self._run.set("group", exp.Group(expressions=[k.copy() for k in keys]))
            return
        expressions = []
        for each in group.expressions:
            if isinstance(each, (exp.Rollup, exp.Cube, exp.GroupingSets)):
                expressions.append(type(each)(expressions=[key(e) for e in each.expressions]))
            else:
                expressions.append(key(each))
        if len(grouped) != len(keys):
            raise not_eligible("a column that is not in GROUP BY", "Name it there.")
        self._run.set("group", exp.Group(expressions=expressions))
        if any(isinstance(m, (exp.Rollup, exp.Cube, exp.GroupingSets)) for m in expressions):
            level = exp.Anonymous(this="GROUPING", expressions=[k.copy() for k in keys])
            self._run.select(exp.alias_(level, LEVEL), copy=False)

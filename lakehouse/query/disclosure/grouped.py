"""A grouped SELECT over rows of patients, put together again so that its cells can be counted."""

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
    identifying,
    not_eligible,
    same_expression,
)
from lakehouse.query.views.view import DIALECT

_FIGURES = (exp.Sum, exp.Avg, exp.Median, exp.Stddev, exp.StddevSamp)


class Grouped:
    """A grouped SELECT over rows of patients."""

    def __init__(self, query: Any, known: Relations) -> None:
        self._query = query
        self._sources = Sources(query, known)
        self._run = query.copy()
        for part in ("order", "limit", "offset", "group"):
            self._run.set(part, None)
        self._run.set("expressions", [])
        self._summed: set[str] = set()

    def plan(self) -> tuple[Any, tuple[str, ...], tuple[Measure, ...], dict[str, Any]]:
        """Return the query to run, its keys, its figures and the columns asked for."""
        shown: dict[str, Any] = {}
        keys: list[str] = []
        figures: list[Measure] = []
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
                figures.append(self._figure(inner, name, number))
            else:
                self._key(inner)
                keys.append(name)
        run.select(exp.alias_(self._distinct(None), COUNT), copy=False)
        for figure in figures:
            self._helpers(figure, self._argument(shown[figure.names[0]]))
        self._group([shown[k] for k in keys])
        return run, tuple(keys), tuple(figures), shown

    def _key(self, key: Any) -> None:
        check_allowed(key, self._sources.check)
        if not key.find(exp.Column) or key.find(exp.Placeholder, exp.Parameter):
            raise not_eligible("a constant beside the groups", "Leave it out.")

    def _argument(self, figure: Any) -> Any | None:
        """Return the column that a figure aggregates; None for count(*)."""
        call = figure.this if isinstance(figure, exp.Round) else figure
        if isinstance(figure, exp.Round) and not isinstance(
            figure.args.get("decimals"), (exp.Literal, type(None))
        ):
            raise self._no_figure()
        if isinstance(call, exp.Anonymous) and str(call.this).lower() == "mean":
            call = exp.Avg(this=call.expressions[0] if len(call.expressions) == 1 else None)
        if isinstance(call, exp.Count):
            if isinstance(call.this, exp.Star):
                return None
            if isinstance(call.this, exp.Distinct) and len(call.this.expressions) == 1:
                column = call.this.expressions[0]
                if isinstance(column, exp.Column) and identifying(column.name.lower()):
                    return column
            raise not_eligible(
                "a count of something else than rows, patients or visits",
                "Write count(*) and put the condition into WHERE, or into GROUP BY.",
            )
        if isinstance(call, _FIGURES) and isinstance(call.this, exp.Column):
            self._sources.check(call.this)
            if isinstance(call, exp.Sum):
                self._summed.add(call.this.sql().lower())
            if len(self._summed) > 1:
                raise not_eligible("sums of several columns at once", "Ask each by itself.")
            return call.this
        raise self._no_figure()

    @staticmethod
    def _no_figure() -> QueryError:
        return not_eligible(
            "this figure",
            "Use count(*), count(DISTINCT patient_id), sum, avg, median or stddev of a column; "
            "a CASE goes into GROUP BY, and min, max or a list would be one patient's own.",
        )

    def _figure(self, inner: Any, name: str, number: int) -> Measure:
        column = self._argument(inner)
        if column is None:
            return Measure((name,))
        call = inner.this if isinstance(inner, exp.Round) else inner
        whole = isinstance(call, (exp.Count, exp.Sum))
        values = "" if isinstance(call, exp.Count) else f"{VALUES}{number}"
        return Measure((name,), f"{BEHIND}{number}", whole, values)

    def _helpers(self, figure: Measure, column: Any | None) -> None:
        """Select how many patients and how many values are behind a figure."""
        if column is None:
            return
        self._run.select(exp.alias_(self._distinct(column), figure.behind), copy=False)
        if figure.values:
            distinct = exp.Count(this=exp.Distinct(expressions=[column.copy()]))
            self._run.select(exp.alias_(distinct, figure.values), copy=False)

    def _distinct(self, column: Any | None) -> Any:
        """Return how many patients there are, or have a value; an unknown one counts each time."""
        patient = self._sources.patient
        there = [] if column is None else [column.copy().is_(exp.null()).not_()]
        known: Any = exp.Count(this=exp.Distinct(expressions=[patient.copy()]))
        if there:
            known = exp.Filter(this=known, expression=exp.Where(this=there[0]))
        unknown = exp.Filter(
            this=exp.Count(this=exp.Star()),
            expression=exp.Where(this=exp.and_(patient.copy().is_(exp.null()), *there)),
        )
        return exp.Add(this=known, expression=unknown)

    def _group(self, keys: list[Any]) -> None:
        """Group by the keys as GROUP BY says, and select which are rolled up."""
        group = self._query.args.get("group")
        selects = self._query.selects
        found: set[int] = set()

        def key(each: Any) -> Any:
            if isinstance(each, exp.Paren):
                return key(each.this)
            if isinstance(each, exp.Tuple):
                return exp.Tuple(expressions=[key(e) for e in each.expressions])
            if isinstance(each, exp.Literal) and each.is_int and int(each.this) <= len(selects):
                meant = selects[int(each.this) - 1].unalias()
            else:
                named = [
                    s.unalias()
                    for s in selects
                    if isinstance(each, exp.Column)
                    and not each.table
                    and s.alias.lower() == each.name.lower()
                ]
                meant = named[0] if named else each
            for i, own in enumerate(keys):
                if same_expression(meant, own):
                    found.add(i)
                    return own.copy()
            raise not_eligible("a GROUP BY of what is not shown", "Select each column of GROUP BY.")

        if group is None or group.args.get("all"):
            if keys and group is None:
                raise not_eligible("a SELECT without GROUP BY")
            if keys:
                self._run.set("group", exp.Group(expressions=[k.copy() for k in keys]))
            return
        made = []
        for each in group.expressions:
            if isinstance(each, (exp.Rollup, exp.Cube, exp.GroupingSets)):
                made.append(type(each)(expressions=[key(e) for e in each.expressions]))
            else:
                made.append(key(each))
        if len(found) != len(keys):
            raise not_eligible("a column that is not in GROUP BY", "Name it there.")
        self._run.set("group", exp.Group(expressions=made))
        if any(isinstance(m, (exp.Rollup, exp.Cube, exp.GroupingSets)) for m in made):
            level = exp.Anonymous(this="GROUPING", expressions=[k.copy() for k in keys])
            self._run.select(exp.alias_(level, LEVEL), copy=False)

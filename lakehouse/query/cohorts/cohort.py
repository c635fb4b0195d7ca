"""Cohorts: patients selected by criteria, with an index time and the attrition of each step.

Each step is a CTE over the step before. The first event criterion sets a patient's *index time*:
the first time of that event. Later events must lie within the given span around that time; without
a span, any time counts. Age is the age at the index time, whatever the order of criteria.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import pyarrow as pa
from sqlglot import exp

from lakehouse.errors import QueryError
from lakehouse.query.cohorts.criteria import Criterion, criteria, days
from lakehouse.query.result import Result
from lakehouse.query.svg import attrition_svg
from lakehouse.query.views.view import DIALECT


class CohortStore(Protocol):
    """Runs the SQL of cohorts and saves them."""

    def ask(self, sql: str) -> Result:
        """Run a query."""
        ...

    def save(self, cohort: Cohort) -> str:
        """Save a cohort with the snapshot of every table; return the file."""
        ...


EVERYONE = "patients_current"

Comparison: TypeAlias = tuple[str, str, float]
"""A name, an operator and a number: ``("4548-4", ">=", 6.5)``."""

_T = TypeVar("_T")
Many: TypeAlias = _T | list[_T] | None
"""One of something, several, or none."""


@dataclass(frozen=True)
class Step:
    """One criterion of a cohort.

    Attributes:
        criterion: The criterion.
        within: Days around the index time, or None for any time.
        is_excluded: Whether patients must not fulfil it.
    """

    criterion: Criterion
    within: int | None = None
    is_excluded: bool = False

    @property
    def sets_index(self) -> bool:
        """Whether it can set the index time: an event that patients must have."""
        return bool(self.criterion.view) and not self.is_excluded

    @property
    def needs_index(self) -> bool:
        """Whether it depends on the index time."""
        return self.criterion.of_age or self.within is not None

    @property
    def label(self) -> str:
        """Text of the step in the attrition."""
        span = f" within {self.within} days" if self.within is not None else ""
        return f"{'without ' if self.is_excluded else ''}{self.criterion.label}{span}"


@dataclass(frozen=True)
class Cohort:
    """A cohort builder: an immutable list of steps, to which ``where`` adds.

    Examples:
        >>> diabetes = (
        ...     lake.cohort("t2dm")
        ...     .where(condition="E11", lab=("4548-4", ">=", 6.5), within="365 days")
        ...     .where(age=(18, 75), without={"condition": "O24"})
        ... )  # doctest: +SKIP
        >>> diabetes.rows().df(), diabetes.attrition()  # doctest: +SKIP
    """

    name: str
    store: CohortStore
    steps: tuple[Step, ...] = ()
    criteria: tuple[dict[str, Any], ...] = ()

    def where(
        self,
        *,
        condition: Many[str] = None,
        lab: Many[Comparison] = None,
        vital: Many[Comparison] = None,
        medication: Many[str] = None,
        procedure: Many[str] = None,
        encounter: Many[str] = None,
        age: tuple[int, int] | None = None,
        sex: str | None = None,
        state: str | None = None,
        race: str | None = None,
        ethnicity: str | None = None,
        within: str | int | timedelta | None = None,
        without: Mapping[str, Any] | None = None,
    ) -> Cohort:
        """Return the cohort of patients who also fulfil these criteria; of a list, each member.

        Args:
            condition: An ICD code with all below it, another code, or a condition by name.
            lab: A result by LOINC code or analyte, compared in the analyte's unit:
                ``("4548-4", ">=", 6.5)``.
            vital: A vital sign by its column in ``vital_signs``: ``("systolic_bp", ">", 140)``.
            medication: A drug, class, family, code, or an ATC code with all below it.
            procedure: A procedure code with all below it.
            encounter: The class of a visit: inpatient, outpatient, emergency ...
            age: Least and most years at the index time; without one, at the latest record.
            sex: Administrative sex.
            state: State of residence.
            race: Race as in ``patients_current``.
            ethnicity: Ethnicity as in ``patients_current``.
            within: How far from the index time events may lie, before or after.
            without: Criteria of the same names that must not be fulfilled (within the same span).

        Raises:
            QueryError: There is no criterion, or a value is of the wrong form.
        """
        named: dict[str, Any] = {
            "condition": condition,
            "lab": lab,
            "vital": vital,
            "medication": medication,
            "procedure": procedure,
            "encounter": encounter,
            "age": age,
            "sex": sex,
            "state": state,
            "race": race,
            "ethnicity": ethnicity,
        }
        chosen = {kind: value for kind, value in named.items() if value is not None}
        span = days(within) if within is not None else None
        steps = [
            *(Step(c, span if c.view else None) for c in criteria(chosen)),
            *(Step(c, span if c.view else None, True) for c in criteria(without or {})),
        ]
        if not steps:
            raise QueryError(
                "A cohort step asks for nothing.", 'Give a criterion: condition="E11".'
            )
        entry = {**chosen, "within": span, "without": without}
        return replace(self, steps=(*self.steps, *steps), criteria=(*self.criteria, entry))

    def query(self) -> Any:
        """Return the SELECT of the cohort as a sqlglot expression."""
        ctes = self._ctes()
        last = ctes[-1][0]
        query = exp.select("patient_id", "index_at", "age_years").from_(last)
        for name, body in ctes:
            query = query.with_(name, as_=body, copy=False)
        return query.order_by("patient_id")

    def sql(self) -> str:
        """Return the SQL of the cohort."""
        return str(self.query().sql(dialect=DIALECT, pretty=True))

    def rows(self) -> Result:
        """Return the cohort: ``patient_id``, ``index_at`` and ``age_years`` at that time."""
        return self.store.ask(self.sql())

    def attrition(self) -> pa.Table:
        """Return the criterion of each step, and how many patients it leaves and excludes."""
        ctes = self._ctes()
        counts = [_count(number, name) for number, (name, _) in enumerate(ctes)]
        query = counts[0]
        for each in counts[1:]:
            query = exp.union(query, each, distinct=False)
        for name, body in ctes:
            query = query.with_(name, as_=body, copy=False)
        count_by_step = dict(self.store.ask(query.sql(dialect=DIALECT)).fetchall())
        remaining = [count_by_step[number] for number in range(len(ctes))]
        return pa.table(
            {
                "step": list(range(len(ctes))),
                "asks": ["all patients", *self._labels()],
                "n_patients": remaining,
                "lost": [
                    before - n
                    for before, n in zip([remaining[0], *remaining], remaining, strict=False)
                ],
            }
        )

    def _steps_in_order(self) -> list[Step]:
        """Return the steps, those that need the index time after the one that sets it."""
        first = next((i for i, s in enumerate(self.steps) if s.sets_index), 0)
        before, rest = self.steps[:first], self.steps[first:]
        return [
            *(s for s in before if not s.needs_index),
            *rest[:1],
            *(s for s in before if s.needs_index),
            *rest[1:],
        ]

    def _labels(self) -> list[str]:
        steps = self._steps_in_order()
        first = next((i for i, s in enumerate(steps) if s.sets_index), None)
        return [s.criterion.label if i == first else s.label for i, s in enumerate(steps)]

    def picture(self, path: str | Path | None = None) -> str:
        """Return the attrition as SVG, and write it to a file when one is named."""
        steps = [(r["asks"], r["n_patients"]) for r in self.attrition().to_pylist()]
        svg = attrition_svg(self.name, steps)
        if path is not None:
            Path(path).write_text(svg, encoding="utf-8")
        return svg

    def save(self) -> str:
        """Save the SQL, its parameters and the snapshot of every table; return the file."""
        return self.store.save(self)

    def __len__(self) -> int:
        return len(self.rows())

    def _ctes(self) -> list[tuple[str, Any]]:
        """Return the steps as CTEs, first to last."""
        start = (
            exp.select("patient_id")
            .select(exp.alias_(exp.cast(exp.null(), "TIMESTAMPTZ"), "index_at"), "age_years")
            .from_(EVERYONE)
        )
        ctes = [("everyone", start)]
        indexed = False
        for number, step in enumerate(self._steps_in_order(), 1):
            before = ctes[-1][0]
            if not step.criterion.view:
                body = _attribute(step, before)
            elif indexed or not step.sets_index:
                body = _event(step, before)
            else:
                body, indexed = _index(step, before), True
            ctes.append((f"step_{number}", body))
        return ctes


def _count(number: int, name: str) -> Any:
    n = exp.alias_(exp.Count(this=exp.Star()), "n")
    return exp.select(exp.alias_(exp.convert(number), "step"), n).from_(name)


def _index(step: Step, before: str) -> Any:
    """Keep patients with the event, and set the index time to its first time."""
    events = step.criterion.events().subquery("events")
    at = exp.column("at", table="events")
    age = exp.Anonymous(this="arg_min", expressions=[exp.column("age_years", table="events"), at])
    return (
        exp.select(exp.column("patient_id", table=before))
        .select(exp.alias_(exp.Min(this=at.copy()), "index_at"), exp.alias_(age, "age_years"))
        .from_(before)
        .join(events, on=_same_patient(before))
        .group_by(exp.column("patient_id", table=before))
    )


def _event(step: Step, before: str) -> Any:
    """Keep patients with (or without) the event near the index time."""
    events = step.criterion.events().subquery("events")
    matches = exp.select("1").from_(events).where(_same_patient(before))
    if step.within is not None:
        index, at = exp.column("index_at", table=before), exp.column("at", table="events")
        span = exp.Interval(this=exp.Literal.string(str(step.within)), unit=exp.var("DAY"))
        low, high = (
            exp.Sub(this=index, expression=span),
            exp.Add(this=index.copy(), expression=span.copy()),
        )
        # without an index time any time counts
        near = exp.or_(index.copy().is_(exp.null()), exp.Between(this=at, low=low, high=high))
        matches = matches.where(near)
    exists = exp.Exists(this=matches)
    return _select_all(before).where(exists.not_() if step.is_excluded else exists)


def _attribute(step: Step, before: str) -> Any:
    """Keep patients whose attribute is (or is not) true; an unknown one is not true."""
    predicate = step.criterion.predicate
    if step.criterion.of_age:
        condition = predicate.copy()
    else:
        who = exp.select("patient_id").from_(EVERYONE).where(predicate.copy())
        condition = exp.column("patient_id").isin(query=who)
    return _select_all(before).where(condition.not_() if step.is_excluded else condition)


def _select_all(before: str) -> Any:
    return exp.select("patient_id", "index_at", "age_years").from_(before)


def _same_patient(before: str) -> Any:
    return exp.EQ(
        this=exp.column("patient_id", table="events"),
        expression=exp.column("patient_id", table=before),
    )

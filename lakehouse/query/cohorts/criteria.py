"""The criteria of a cohort, each a sqlglot expression over a concept view.

An *event* has a time (a diagnosis, a result, a drug, a procedure, a visit); an *attribute* holds
for the patient (age at the index time, sex, state). Values become literals of the syntax tree, so
no text of a user enters SQL as code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlglot import exp

from lakehouse.errors import QueryError, did_you_mean

OPERATORS: dict[str, type[exp.Binary]] = {
    "<": exp.LT,
    "<=": exp.LTE,
    "=": exp.EQ,
    ">=": exp.GTE,
    ">": exp.GT,
}

_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True)
class Criterion:
    """One criterion: a condition on the rows of a concept view.

    Attributes:
        label: Its text in the attrition.
        predicate: The condition on a row.
        view: View of its events; empty for an attribute of the patient.
        at: Column with the time of the event.
    """

    label: str
    predicate: Any
    view: str = ""
    at: str = ""

    @property
    def of_age(self) -> bool:
        """Whether it is a criterion of age, which depends on the index time."""
        return not self.view and self.predicate.find(exp.Column).name == "age_years"

    def events(self) -> Any:
        """Return the SELECT of its events: patient, time, age."""
        return (
            exp.select("patient_id")
            .select(exp.alias_(exp.column(self.at), "at"), exp.column("age_years"))
            .from_(self.view)
            .where(self.predicate.copy(), exp.column(self.at).is_(exp.null()).not_())
        )


def criteria(named: Mapping[str, Any]) -> list[Criterion]:
    """Return the criteria of keyword arguments, events before attributes.

    Args:
        named: ``condition="E11"``, ``lab=("4548-4", ">=", 6.5)``, ``age=(18, 75)`` ...; a list
            stands for one criterion per member.

    Raises:
        QueryError: No criterion has the name, or its value is of the wrong form.

    Examples:
        >>> [c.label for c in criteria({"age": (18, 75), "condition": ["E11", "I10"]})]
        ['condition E11', 'condition I10', 'age 18 to 75']
    """
    result = []
    for kind, value in named.items():
        if kind not in KINDS:
            raise QueryError(
                f"A cohort has no criterion {kind}.",
                did_you_mean(kind, KINDS) or f"Choose one of: {', '.join(KINDS)}.",
            )
        for each in value if isinstance(value, list) else [value]:
            result.append(KINDS[kind](each))
    return sorted(result, key=lambda c: not c.view)


def days(within: str | int | timedelta) -> int:
    """Return a span in whole days.

    Raises:
        QueryError: The text is no number of days, weeks, months or years.

    Examples:
        >>> days("365 days"), days("2 years"), days(timedelta(weeks=1)), days(30)
        (365, 730, 7, 30)
    """
    if isinstance(within, timedelta):
        return within.days
    match = re.fullmatch(r"\s*(\d+)\s*(day|week|month|year)?s?\s*", str(within))
    if match is None:
        raise QueryError(
            "A span reads like 365 days.", "Give days, weeks, months (30) or years (365)."
        )
    return int(match[1]) * _DAYS[match[2] or "day"]


def _literal(value: Any) -> Any:
    if not isinstance(value, (str, int, float, bool)):
        raise QueryError("A criterion's values are texts and numbers.", "Give a text or a number.")
    return exp.convert(value)


def _is(column: str, value: Any) -> Any:
    return exp.EQ(this=exp.column(column), expression=_literal(value))


def _begins(column: str, value: str) -> Any:
    return exp.StartsWith(this=exp.column(column), expression=_literal(value))


def _text(kind: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise QueryError(f"The criterion {kind} takes a text.", "Give a list for several.")
    return value.strip()


def _condition(value: Any) -> Criterion:
    """An ICD code with all below it (dots do not matter), another code, or a named condition."""
    text = _text("condition", value)
    bare = text.replace(".", "").upper()
    family = exp.and_(_begins("code_system", "icd"), _begins("code", bare))
    either = exp.or_(family, _is("code", bare), _is("condition", text.lower()))
    return Criterion(f"condition {text}", either, "patient_conditions", "recorded_at")


def _comparison(kind: str, value: Any) -> tuple[str, str, float]:
    if not (isinstance(value, (tuple, Sequence)) and len(value) == 3 and value[1] in OPERATORS):
        raise QueryError(
            f'The criterion {kind} takes a name, an operator and a number: ("4548-4", ">=", 6.5).',
            f"Use one of these operators: {' '.join(OPERATORS)}.",
        )
    return str(value[0]), str(value[1]), float(value[2])


def _lab(value: Any) -> Criterion:
    """A result by LOINC code or analyte, compared in the analyte's canonical unit."""
    name, operator, number = _comparison("lab", value)
    predicate = exp.and_(
        exp.or_(_is("code", name), _is("analyte", name.lower())),
        OPERATORS[operator](this=exp.column("value"), expression=_literal(number)),
    )
    return Criterion(f"lab {name} {operator} {number:g}", predicate, "lab_results", "observed_at")


def _vital(value: Any) -> Criterion:
    """A vital sign by its column in ``vital_signs``."""
    name, operator, number = _comparison("vital", value)
    if not re.fullmatch(r"[a-z_0-9]+", name):
        raise QueryError(
            "A vital sign is a column of vital_signs.",
            "Choose one from `lakehouse views vital_signs`.",
        )
    predicate = OPERATORS[operator](this=exp.column(name), expression=_literal(number))
    return Criterion(f"{name} {operator} {number:g}", predicate, "vital_signs", "measured_at")


def _medication(value: Any) -> Criterion:
    """A drug, a class, a family, a code, or an ATC code with all below it."""
    text = _text("medication", value)
    by_name = [_is(column, text.lower()) for column in ("drug", "class", "family")]
    either = exp.or_(*by_name, _is("code", text.upper()), _begins("atc", text.upper()))
    return Criterion(f"medication {text}", either, "medication_list", "first_stated_at")


def _procedure(value: Any) -> Criterion:
    text = _text("procedure", value)
    bare = text.replace(".", "").upper()
    return Criterion(
        f"procedure {text}",
        exp.or_(_is("code", bare), _is("code", text), _begins("code", bare)),
        "procedures",
        "performed_at",
    )


def _encounter(value: Any) -> Criterion:
    text = _text("encounter", value)
    return Criterion(
        f"encounter {text}", _is("class", text.lower()), "encounters_current", "admitted_at"
    )


def _age(value: Any) -> Criterion:
    if not (isinstance(value, tuple) and len(value) == 2):
        raise QueryError(
            "The criterion age takes two numbers: (18, 75).", "Give both; they are included."
        )
    low, high = (int(v) for v in value)
    between = exp.Between(
        this=exp.column("age_years"), low=exp.convert(low), high=exp.convert(high)
    )
    return Criterion(f"age {low} to {high}", between)


def _of_patient(column: str) -> Callable[[Any], Criterion]:
    def criterion(value: Any) -> Criterion:
        return Criterion(f"{column} {value}", _is(column, value))

    return criterion


KINDS: dict[str, Callable[[Any], Criterion]] = {
    "condition": _condition,
    "lab": _lab,
    "vital": _vital,
    "medication": _medication,
    "procedure": _procedure,
    "encounter": _encounter,
    "age": _age,
    "sex": _of_patient("sex"),
    "state": _of_patient("state"),
    "race": _of_patient("race"),
    "ethnicity": _of_patient("ethnicity"),
}
"""The criteria by name."""

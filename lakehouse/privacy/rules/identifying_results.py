"""Results whose value identifies the patient: an age, a birth date or a phone number.

A result column holds any value, so its PHI class alone does not suffice. The code beside it names
the question. ``catalog/codes/identifying_questions.csv`` gives the PHI class of the answers, by
code or by the text that sources give to local codes. The profile's action for that class applies:
an age is top-coded where ages are, and an answer that no action keeps is dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrays import distinct, map_distinct
from lakehouse.definitions.code_systems import shape_of
from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import Table
from lakehouse.privacy.columns import Bools
from lakehouse.privacy.identity.ages import TOP_AGE
from lakehouse.privacy.rules.actions import Rows
from lakehouse.privacy.rules.policy import Policy

QUESTIONS = ("code", "concept_code")
"""Columns that may hold the code of a row's question."""

ANSWER = "value_"
"""Prefix of the columns that hold the answer."""

NO_ANSWERS = {"value_type", "value_separator"}

YEARS = {
    **dict.fromkeys(("mo", "month", "months", "mon"), 1 / 12),
    **dict.fromkeys(("wk", "week", "weeks", "w"), 7 / 365.25),
    **dict.fromkeys(("d", "day", "days"), 1 / 365.25),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 1 / 8766),
    **dict.fromkeys(("min", "minute", "minutes"), 1 / 525_960),
}
"""Years in a unit of age; any other unit, and a missing one, counts as years."""

_STATED_AGE = re.compile(r"\D{0,3}0*(\d+)(?:\.\d*)?\s*([A-Za-z]*).*")


@cache
def _questions() -> list[dict[str, str]]:
    return read_rows(resource("catalog/codes") / "identifying_questions.csv")


def question_of(definition: Table) -> str | None:
    """Return the column with the code of a table's questions, or None for a table without results.

    Examples:
        >>> from lakehouse.definitions.tables import load_tables
        >>> tables = load_tables()
        >>> question_of(tables["observations"]), question_of(tables["orders"])
        ('code', None)
    """
    if not any(name.startswith(ANSWER) for name in definition.columns):
        return None
    return next((name for name in QUESTIONS if name in definition.columns), None)


class Readable(Protocol):
    """Rows with readable columns: the raw rows of a batch, or those of a stored file."""

    @property
    def table(self) -> pa.Table:
        """The rows."""
        ...

    def raw(self, column: str | None) -> pa.Array | None:
        """Return a column in one piece, or None when there is none."""
        ...


def rows_by_phi_class(rows: Readable, question: str) -> dict[str, Bools]:
    """Return a mask by PHI class: the rows that answer a question of that class."""
    rows_of: dict[str, Bools] = {}

    def add(phi: str, mask: pa.Array) -> None:
        where = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
        if where.any():
            rows_of[phi] = rows_of.get(phi, False) | where

    stem = question.removesuffix("_code")
    code, text = rows.raw(question), rows.raw(f"{stem}_display")
    system = rows.raw(f"{stem}_system")
    if code is not None:
        at, codes = distinct(pc.utf8_trim_whitespace(code))
        positions = pc.index_in(pa.array([q["code"] for q in _questions()]), value_set=codes)
        for row, position in zip(_questions(), positions.to_pylist(), strict=True):
            if position is not None and row["code"]:
                add(
                    row["phi"],
                    pc.and_(pc.equal(at, position), _may_be_of_system(system, row["code_system"])),
                )
    if text is not None:
        at, texts = distinct(text)
        for row in _questions():
            if row["text"]:
                add(row["phi"], pc.match_substring_regex(texts, row["text"]).take(at))
    return rows_of


def _may_be_of_system(system: pa.Array | None, code_system: str) -> pa.Array | pa.Scalar:
    """Return where a code may belong to a system: its system is this one, or not public."""
    if system is None:
        return pa.scalar(True)
    fits = map_distinct(
        system, lambda name: name == code_system or shape_of(name) is None, pa.bool_()
    )
    return pc.fill_null(fits, True)


def answer_columns(definition: Table) -> list[str]:
    """Return the columns of a table that hold answers."""
    return [
        name
        for name in definition.columns
        if name.startswith(ANSWER) and name not in NO_ANSWERS and not name.endswith("_system")
    ]


def apply_result_rules(
    rows: Rows, stored: dict[str, pa.Array], policy: Policy, counts: Counter[str]
) -> dict[str, pa.Array]:
    """Return the columns to store, with the profile applied to answers that identify."""
    question = question_of(rows.definition)
    if question is None:
        return stored
    result = dict(stored)
    answers = answer_columns(rows.definition)
    for phi, where in rows_by_phi_class(rows, question).items():
        action = policy.action(phi)
        if action.startswith("keep"):
            continue
        top = coded_ages_over_89(rows, where) if action == "top_code_90" else None
        for name in answers:
            kind = rows.definition.columns[name].type
            if top is None:
                affected, replacement = where, pa.scalar(None, kind)
            elif pa.types.is_floating(kind):
                each = years_per_unit(rows)
                values = result[name].to_numpy(zero_copy_only=False)
                affected, replacement = where & (values * each >= TOP_AGE), pa.array(TOP_AGE / each)
            else:
                affected, replacement = top, pa.scalar(None, kind)
            changed = pc.and_(pa.array(affected), pc.is_valid(result[name]))
            if changed.true_count:
                result[name] = pc.if_else(changed, replacement, result[name].cast(kind))
                counts[f"{rows.definition.name}.{name}:{phi}"] += changed.true_count
    return result


def years_per_unit(rows: Readable) -> npt.NDArray[np.float64]:
    """Return the factor from the unit of each row to years."""
    unit = rows.raw("unit")
    if unit is None:
        return np.ones(len(rows.table))
    factors = map_distinct(unit, lambda name: YEARS.get(name.strip().lower(), 1.0), pa.float64())
    years: npt.NDArray[np.float64] = pc.fill_null(factors, 1.0).to_numpy(zero_copy_only=False)
    return years


def coded_ages_over_89(rows: Readable, where: Bools) -> Bools:
    """Return which rows have an age of 90 or over as a code (``93``, ``093Y``)."""
    coded = rows.raw("value_code")
    if coded is None:
        return np.zeros(len(rows.table), dtype=bool)

    def age(text: str) -> float:
        stated = _STATED_AGE.fullmatch(text)
        return float(stated[1]) * YEARS.get(stated[2].lower(), 1.0) if stated else 0.0

    ages = map_distinct(coded, age, pa.float64())
    stated: npt.NDArray[np.float64] = pc.fill_null(ages, 0.0).to_numpy(zero_copy_only=False)
    return where & (stated * years_per_unit(rows) >= TOP_AGE)

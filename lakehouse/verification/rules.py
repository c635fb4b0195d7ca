"""The profile's rules, checked against the stored values themselves, file by file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.arrays import whole
from lakehouse.definitions.code_systems import shape_of
from lakehouse.definitions.tables import Column, Table
from lakehouse.privacy.identity.ages import TOP_AGE
from lakehouse.privacy.rules.actions import SHIFTED_FROM
from lakehouse.privacy.rules.code_patterns import looks_like_code, looks_like_place
from lakehouse.privacy.rules.identifying_results import (
    answer_columns,
    coded_ages_over_89,
    question_of,
    rows_by_phi_class,
    years_per_unit,
)
from lakehouse.privacy.rules.policy import Policy
from lakehouse.privacy.rules.postal import populous_prefixes

Violations = Callable[[pa.Array, pa.Array | None], pa.Array]
"""(values, values of the column that governs them) -> where the rule is broken; null passes."""


@dataclass(frozen=True)
class Rule:
    """One rule of a profile.

    Attributes:
        id: Its name.
        clause: What asks for it.
        says: What must hold, one sentence.
        broken: Where it does not.
    """

    id: str
    clause: str
    says: str
    broken: Violations = field(repr=False)


@dataclass
class Checked:
    """A rule applied to one column.

    Attributes:
        rule: Id of the rule.
        clause: What asks for it.
        says: What must hold.
        table: Table.
        column: Column.
        rows: Values looked at, nulls included, in every data file of every snapshot.
        findings: Values that break the rule.
    """

    rule: str
    clause: str
    says: str
    table: str
    column: str
    rows: int = 0
    findings: int = 0

    def add(self, rows: int, findings: int | None) -> None:
        """Count the rows of a batch and what was found in them."""
        self.rows += rows
        self.findings += findings or 0


def _not_null(values: pa.Array, _: pa.Array | None) -> pa.Array:
    return pc.is_valid(values)


def _unlike(pattern: str) -> Violations:
    def broken(values: pa.Array, _: pa.Array | None) -> pa.Array:
        return pc.invert(pc.match_substring_regex(values, pattern))

    return broken


def _before_line(values: pa.Array, _: pa.Array | None) -> pa.Array:
    line = pa.scalar(datetime.combine(SHIFTED_FROM, time(), UTC))
    return pc.less(values.cast(pa.timestamp("us", tz="UTC")), line.cast(values.type))


def _birth(values: pa.Array, _: pa.Array | None) -> pa.Array:
    if pa.types.is_integer(values.type):  # a year on the shifted line is never a true one
        return pc.less(values, 1900 + 100)
    return pc.is_valid(values)


def _over_age(values: pa.Array, _: pa.Array | None) -> pa.Array:
    return pc.or_(pc.less(values, 0), pc.greater(values, TOP_AGE))


def _zip3(values: pa.Array, _: pa.Array | None) -> pa.Array:
    return pc.invert(pc.is_in(values, pa.array(sorted(populous_prefixes() | {"000"}))))


def _not_code(values: pa.Array, _: pa.Array | None) -> pa.Array:
    return pc.invert(looks_like_code(values))


def _not_place(values: pa.Array, _: pa.Array | None) -> pa.Array:
    return pc.invert(looks_like_place(values))


def _text_of_local_code(values: pa.Array, systems: pa.Array | None) -> pa.Array:
    if systems is None:
        return pc.is_valid(values)
    names = [name for name in systems.unique().to_pylist() if name and shape_of(name)]
    return pc.and_(pc.is_valid(values), pc.invert(pc.is_in(systems, pa.array(names, pa.string()))))


@dataclass(frozen=True)
class _Stored:
    """A batch of a data file, read as raw rows are."""

    table: pa.Table

    def raw(self, column: str | None) -> pa.Array | None:
        return whole(self.table[column]) if column in self.table.column_names else None


def _identifying_answers(batch: pa.RecordBatch, table: Table, policy: Policy) -> dict[str, int]:
    """Count the answers to identifying questions that the profile does not keep, by column."""
    question = question_of(table)
    found = dict.fromkeys(answer_columns(table), 0) if question else {}
    rows = _Stored(pa.Table.from_batches([batch]))
    for phi, where in rows_by_phi_class(rows, question).items() if question else ():
        action = policy.action(phi)
        if action.startswith("keep"):
            continue
        for name in found.keys() & set(batch.schema.names):
            values = batch.column(name)
            wrong = where & pc.is_valid(values).to_numpy(zero_copy_only=False)
            if action == "top_code_90" and pa.types.is_floating(values.type):
                ages = values.to_numpy(zero_copy_only=False) * years_per_unit(rows)
                wrong &= (ages < 0) | (ages > TOP_AGE + _ROUNDING)
            elif action == "top_code_90":
                wrong &= coded_ages_over_89(rows, where)
            found[name] += int(wrong.sum())
    return found


_ROUNDING = 1e-6  # of an age that is stated in months or days

ANSWERS = Rule(
    "answers-settled",
    "164.514(b)(2)(i)(A)-(R)",
    "No answer to a question that identifies; ages as results from 0 to 90.",
    lambda values, _: pa.repeat(False, len(values)),
)
"""Not of a column alone: what is asked stands in another one."""

_DROPPED = Rule("dropped", "164.514(b)(2)(i)(A)-(R)", "Nothing of this class is stored.", _not_null)

RULES: dict[str, Rule] = {
    "drop": _DROPPED,
    "pseudonym": Rule(
        "pseudonym",
        "164.514(b)(2)(i)(H)-(R), 164.514(c)",
        "A keyed pseudonym of 32 hex digits.",
        _unlike("^[0-9a-f]{32}$"),
    ),
    "uid": Rule(
        "uid",
        "DICOM PS3.15 table E.1-1, action U",
        "A new UID, or one the standard assigns.",
        _unlike(r"^(2\.25\.[0-9]{1,39}|1\.2\.840\.10008\.[0-9.]{1,50})$"),
    ),
    "shift": Rule(
        "shifted-time",
        "164.514(b)(2)(i)(C)",
        f"No time lies before {SHIFTED_FROM}, where the shifted lines begin.",
        _before_line,
    ),
    "birth_year": Rule(
        "birth-year",
        "164.514(b)(2)(i)(C)",
        "No date of birth; a year only on the shifted line.",
        _birth,
    ),
    "top_code_90": Rule(
        "age-at-most-90",
        "164.514(b)(2)(i)(C)",
        "Ages from 0 to 90; 90 stands for all above 89.",
        _over_age,
    ),
    "zip3": Rule(
        "zip3",
        "164.514(b)(2)(i)(B)",
        "Three digits of an area of more than 20,000 people, or 000.",
        _zip3,
    ),
    "zip5": Rule("zip5", "164.514(e)(2)(ii)", "Five digits.", _unlike("^[0-9]{5}$")),
    "code_shape": Rule("code-shape", "164.514(b)(2)(i)(R)", "Has the shape of a code.", _not_code),
    "place_shape": Rule("place-shape", "164.514(b)(2)(i)(B)", "A state or country.", _not_place),
    "public_codes_only": Rule(
        "public-codes-only",
        "164.514(b)(2)(i)(R)",
        "Text only of codes of a public standard.",
        _text_of_local_code,
    ),
}
"""By the action of the policy. ``keep`` and its kind promise nothing that could be checked."""


def rule_of(policy: Policy, column: Column) -> Rule | None:
    """Return the rule that a column's class asks for under a profile, or None for no rule."""
    action = policy.action(column.phi)
    if action in RULES:
        return RULES[action]
    return None if action in ("keep", "keep_name", "offset_difference", "zero") else _DROPPED


class Checker:
    """Applies the rules of a profile to data files, one after another."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.checked: dict[tuple[str, str, str], Checked] = {}

    def check(self, table: Table, files: Iterable[bytes]) -> None:
        """Check every column of some Parquet files of a table."""
        rules = {n: r for n, c in table.columns.items() if (r := rule_of(self._policy, c))}
        for name, rule in rules.items():
            self._entry(table, name, rule)
        for data in files:
            for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches():
                for name, rule in rules.items():
                    if name in batch.schema.names:
                        self._column(table, name, rule, batch)
                for name, count in _identifying_answers(batch, table, self._policy).items():
                    self._entry(table, name, ANSWERS).add(batch.num_rows, count)

    def _column(self, table: Table, name: str, rule: Rule, batch: pa.RecordBatch) -> None:
        governing = table.columns[name].system
        system = batch.column(governing) if governing in batch.schema.names else None
        values = batch.column(name)
        broken = pc.and_(pc.is_valid(values), pc.fill_null(rule.broken(values, system), False))
        self._entry(table, name, rule).add(batch.num_rows, pc.sum(broken.cast(pa.int64())).as_py())

    def _entry(self, table: Table, name: str, rule: Rule) -> Checked:
        return self.checked.setdefault(
            (table.name, name, rule.id),
            Checked(rule.id, rule.clause, rule.says, table.name, name),
        )

"""The rules of each profile, checked on the stored values of every data file."""

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
"""Values, and those of the column that governs them -> a mask of violations; null passes."""


@dataclass(frozen=True)
class Rule:
    """A rule of a profile: the condition on the values of a column.

    Attributes:
        id: Name of the rule.
        clause: Clause of the law or standard that requires it.
        says: The condition, one sentence.
        violations: Function that returns where values violate it.
    """

    id: str
    clause: str
    says: str
    violations: Violations = field(repr=False)


@dataclass
class ColumnCheck:
    """The outcome of one rule for one column.

    Attributes:
        rule: Id of the rule.
        clause: Clause of the law or standard that requires it.
        says: The condition.
        table: Table.
        column: Column.
        rows: Values checked, nulls included, in every data file of every snapshot.
        findings: Values that violate the rule.
    """

    rule: str
    clause: str
    says: str
    table: str
    column: str
    rows: int = 0
    findings: int = 0

    def add(self, rows: int, findings: int | None) -> None:
        """Add the numbers of rows and findings of a batch."""
        self.rows += rows
        self.findings += findings or 0


def _not_null(values: pa.Array, _: pa.Array | None) -> pa.Array:
    return pc.is_valid(values)


def _not_matching(pattern: str) -> Violations:
    def violations(values: pa.Array, _: pa.Array | None) -> pa.Array:
        return pc.invert(pc.match_substring_regex(values, pattern))

    return violations


def _before_shifted_times(values: pa.Array, _: pa.Array | None) -> pa.Array:
    line = pa.scalar(datetime.combine(SHIFTED_FROM, time(), UTC))
    return pc.less(values.cast(pa.timestamp("us", tz="UTC")), line.cast(values.type))


def _true_birth(values: pa.Array, _: pa.Array | None) -> pa.Array:
    if pa.types.is_integer(values.type):  # a shifted year is never before 2000
        return pc.less(values, 1900 + 100)
    return pc.is_valid(values)


def _age_out_of_range(values: pa.Array, _: pa.Array | None) -> pa.Array:
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
class _StoredRows:
    """A batch of a data file, with the interface of raw rows."""

    table: pa.Table

    def raw(self, column: str | None) -> pa.Array | None:
        return whole(self.table[column]) if column in self.table.column_names else None


def _identifying_answers(batch: pa.RecordBatch, table: Table, policy: Policy) -> dict[str, int]:
    """Return the number of identifying answers that the profile does not keep, by column."""
    question = question_of(table)
    counts = dict.fromkeys(answer_columns(table), 0) if question else {}
    rows = _StoredRows(pa.Table.from_batches([batch]))
    for phi, where in rows_by_phi_class(rows, question).items() if question else ():
        action = policy.action(phi)
        if action.startswith("keep"):
            continue
        for name in counts.keys() & set(batch.schema.names):
            values = batch.column(name)
            violations = where & pc.is_valid(values).to_numpy(zero_copy_only=False)
            if action == "top_code_90" and pa.types.is_floating(values.type):
                ages = values.to_numpy(zero_copy_only=False) * years_per_unit(rows)
                violations &= (ages < 0) | (ages > TOP_AGE + _ROUNDING)
            elif action == "top_code_90":
                violations &= coded_ages_over_89(rows, where)
            counts[name] += int(violations.sum())
    return counts


_ROUNDING = 1e-6  # of an age that is stated in months or days

ANSWERS = Rule(
    "answers-settled",
    "164.514(b)(2)(i)(A)-(R)",
    "No answer to a question that identifies; ages as results from 0 to 90.",
    lambda values, _: pa.repeat(False, len(values)),
)
"""This rule is not of one column: the question is in another column than the answer."""

_NOT_STORED = Rule(
    "dropped", "164.514(b)(2)(i)(A)-(R)", "Nothing of this class is stored.", _not_null
)

RULES: dict[str, Rule] = {
    "drop": _NOT_STORED,
    "pseudonym": Rule(
        "pseudonym",
        "164.514(b)(2)(i)(H)-(R), 164.514(c)",
        "A keyed pseudonym of 32 hex digits.",
        _not_matching("^[0-9a-f]{32}$"),
    ),
    "uid": Rule(
        "uid",
        "DICOM PS3.15 table E.1-1, action U",
        "A new UID, or one the standard assigns.",
        _not_matching(r"^(2\.25\.[0-9]{1,39}|1\.2\.840\.10008\.[0-9.]{1,50})$"),
    ),
    "shift": Rule(
        "shifted-time",
        "164.514(b)(2)(i)(C)",
        f"No time lies before {SHIFTED_FROM}, where the shifted lines begin.",
        _before_shifted_times,
    ),
    "birth_year": Rule(
        "birth-year",
        "164.514(b)(2)(i)(C)",
        "No date of birth; a year only on the shifted line.",
        _true_birth,
    ),
    "top_code_90": Rule(
        "age-at-most-90",
        "164.514(b)(2)(i)(C)",
        "Ages from 0 to 90; 90 stands for all above 89.",
        _age_out_of_range,
    ),
    "zip3": Rule(
        "zip3",
        "164.514(b)(2)(i)(B)",
        "Three digits of an area of more than 20,000 people, or 000.",
        _zip3,
    ),
    "zip5": Rule("zip5", "164.514(e)(2)(ii)", "Five digits.", _not_matching("^[0-9]{5}$")),
    "code_shape": Rule("code-shape", "164.514(b)(2)(i)(R)", "Has the shape of a code.", _not_code),
    "place_shape": Rule("place-shape", "164.514(b)(2)(i)(B)", "A state or country.", _not_place),
    "public_codes_only": Rule(
        "public-codes-only",
        "164.514(b)(2)(i)(R)",
        "Text only of codes of a public standard.",
        _text_of_local_code,
    ),
}
"""Rules by the action of the policy; ``keep`` and similar actions have none."""


def rule_of(policy: Policy, column: Column) -> Rule | None:
    """Return the rule for a column's PHI class under a profile, or None."""
    action = policy.action(column.phi)
    if action in RULES:
        return RULES[action]
    return None if action in ("keep", "keep_name", "offset_difference", "zero") else _NOT_STORED


class Checker:
    """Checks the rules of a profile on one data file after another."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.column_checks: dict[tuple[str, str, str], ColumnCheck] = {}

    def check(self, table: Table, files: Iterable[bytes]) -> None:
        """Check every column in Parquet files of a table."""
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
        violations = pc.and_(
            pc.is_valid(values), pc.fill_null(rule.violations(values, system), False)
        )
        self._entry(table, name, rule).add(
            batch.num_rows, pc.sum(violations.cast(pa.int64())).as_py()
        )

    def _entry(self, table: Table, name: str, rule: Rule) -> ColumnCheck:
        return self.column_checks.setdefault(
            (table.name, name, rule.id),
            ColumnCheck(rule.id, rule.clause, rule.says, table.name, name),
        )

"""Conformance rules of a format, read from ``catalog/quality/<format>.toml``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import load_tables
from lakehouse.definitions.toml_file import read_toml, short_name
from lakehouse.errors import DefinitionError, did_you_mean

LEVELS = ("record", "row", "warning")
CHECKS = ("required", "known", "one_of", "not_after", "not_before")

OTHER = "other"
"""Value that a format stores in place of one that its closed list does not have."""

NOW = "now"
"""Stands for the time of the check in ``than``."""

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Rule:
    """A conformance rule over one column of one table.

    Attributes:
        id: Id under which rejects count.
        level: ``record``, ``row`` or ``warning``.
        clause: Clause of the standard that asks for it.
        table: Table that it checks.
        location: Place in the source that rejects name.
        message: What is wrong, without a value.
        check: ``required`` (not null), ``known`` (not ``other``), ``one_of`` (null passes),
            ``not_after`` and ``not_before`` (compared with ``than``, by more than ``days``).
        column: Column that it checks.
        values: For ``one_of``.
        than: For the comparisons: columns in order of preference with ``|`` between, the last
            of which may be ``now``.
        days: For the comparisons.
        unless: Rows in which one of these columns has this value pass.
    """

    id: str
    level: str
    clause: str
    table: str
    location: str
    message: str
    check: str
    column: str
    values: tuple[str, ...] = ()
    than: str = ""
    days: int = 0
    unless: tuple[tuple[str, str], ...] = ()

    def fails(self, table: pa.Table) -> pa.ChunkedArray:
        """Return a mask of the rows of a raw table that break the rule.

        Examples:
            >>> rule = Rule("x", "warning", "", "t", "", "", "one_of", "a", values=("P",))
            >>> rule.fails(pa.table({"a": ["P", "Q", None]})).to_pylist()
            [False, True, False]
        """
        broken = self._failing_rows(table)
        for column, value in self.unless:
            if column in table.column_names:
                is_exempt = pc.fill_null(pc.equal(table.column(column), value), False)
                broken = pc.and_not(broken, is_exempt)
        return broken

    def _failing_rows(self, table: pa.Table) -> pa.ChunkedArray:
        if self.column not in table.column_names:
            return pa.chunked_array([pa.repeat(self.check == "required", len(table))])
        column = table.column(self.column)
        if self.check == "required":
            return pc.is_null(column)
        if self.check == "known":
            return pc.fill_null(pc.equal(column, OTHER), False)
        if self.check == "one_of":
            return pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, pa.array(self.values))))
        names = [n.strip() for n in self.than.split("|")]
        bounds = [_micros(table.column(n)) for n in names if n in table.column_names]
        if names[-1] == NOW:
            bounds.append(pa.scalar(int(datetime.now(UTC).timestamp() * 1e6), pa.int64()))
        if not bounds:
            return pa.chunked_array([pa.repeat(False, len(table))])
        earlier, later = _micros(column), pc.coalesce(*bounds)
        if self.check == "not_after":
            broken = pc.greater(pc.subtract(earlier, later), self.days * _DAY)
        else:
            broken = pc.greater(pc.subtract(later, earlier), self.days * _DAY)
        return pc.fill_null(broken, False)


@dataclass(frozen=True)
class FormatRule:
    """A conformance rule that the format's own parser checks while it reads a value.

    Attributes:
        id: Id under which rejects count.
        level: ``record``, ``row`` or ``warning``.
        clause: Clause of the standard that asks for it.
        of: What breaks it: a ``record``, or the ``file`` as a whole.
    """

    id: str
    level: str
    clause: str
    of: str = "record"


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a date or timestamp column as microseconds since 1970."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    return column.cast(pa.int64())


def _rule(where: str, spec: dict[str, Any]) -> Rule:
    keys = {f.name for f in fields(Rule)}
    if unknown_keys := spec.keys() - keys:
        raise DefinitionError(
            f"{where}: unknown key {', '.join(sorted(unknown_keys))}.",
            did_you_mean(sorted(unknown_keys)[0], keys),
        )
    name = spec.get("id", "a rule without id")
    missing = [
        k
        for k in ("id", "level", "clause", "table", "location", "message", "check", "column")
        if not spec.get(k)
    ]
    if missing:
        raise DefinitionError(
            f"{where}, {name}: {', '.join(missing)} missing.", "Add what is missing."
        )
    if spec["level"] not in LEVELS or spec["check"] not in CHECKS:
        raise DefinitionError(
            f"{where}, {name}: unknown level or check.",
            f"Levels: {', '.join(LEVELS)}. Checks: {', '.join(CHECKS)}.",
        )
    table = load_tables().get(spec["table"])
    if table is None or spec["column"] not in table.columns:
        raise DefinitionError(
            f"{where}, {name}: there is no such table or column.",
            "Name a table of catalog/tables and one of its columns.",
        )
    lists = {
        "values": tuple(spec.get("values", ())),
        "unless": tuple(spec.get("unless", {}).items()),
    }
    return Rule(**(spec | lists))


def _format_rule(where: str, spec: dict[str, Any]) -> FormatRule:
    keys = {f.name for f in fields(FormatRule)}
    missing = [k for k in ("id", "level", "clause") if not spec.get(k)]
    if missing or spec.keys() - keys or spec["level"] not in LEVELS:
        raise DefinitionError(
            f"{where}, {spec.get('id', 'a rule without id')}: a found rule has id, level and "
            "clause, and may say that it is of the file.",
            "Add the missing keys and remove all others.",
        )
    return FormatRule(**spec)


@cache
def load_rules(format_name: str) -> tuple[Rule, ...]:
    """Return the rules that ``validate`` applies to a format; one without a file has none.

    Raises:
        DefinitionError: A rule lacks a key, or names an unknown table or column.
    """
    where, spec = _read_rules(format_name)
    return tuple(_rule(where, rule) for rule in spec.get("rule", ()))


@cache
def format_rules(format_name: str) -> tuple[FormatRule, ...]:
    """Return the rules that a format's own parser checks, as its file lists them.

    Raises:
        DefinitionError: A rule lacks a key.
    """
    where, spec = _read_rules(format_name)
    return tuple(_format_rule(where, rule) for rule in spec.get("found", ()))


def record_rules() -> pa.Table:
    """Return every rule that a record can break: format, rule, level and clause."""
    rows = []
    for name in sorted(f.stem for f in resource("catalog/quality").glob("*.toml")):
        own_rules = (r for r in format_rules(name) if r.of == "record")
        rules: tuple[Rule | FormatRule, ...] = (*load_rules(name), *own_rules)
        rows += [(name, rule.id, rule.level, rule.clause) for rule in rules]
    names = ("format", "rule", "level", "clause")
    schema = pa.schema([(n, pa.string()) for n in names])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)


def _read_rules(format_name: str) -> tuple[str, dict[str, Any]]:
    file = resource("catalog/quality") / f"{format_name}.toml"
    return short_name(file), read_toml(file) if file.is_file() else {}

"""The rules: ``catalog/quality/<format>.toml``, each with an id, a level and its clause."""

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
"""What a format stores in place of a value that its closed list does not have."""

NOW = "now"
"""Stands in ``than`` for the moment of the check."""

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Rule:
    """One rule over one column of one table.

    Attributes:
        id: Name under which rejects are counted.
        level: ``record``, ``row`` or ``warning``.
        clause: Where the standard asks for it.
        table: Table that it looks at.
        location: Place in the source that is named to the reader.
        message: What is wrong, without a value.
        check: ``required`` (not null), ``known`` (not ``other``), ``one_of`` (null passes),
            ``not_after`` and ``not_before`` (compared with ``than``, by more than ``days``).
        column: Column that is checked.
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
        """Return, per row of the raw table, whether the rule is broken.

        Examples:
            >>> rule = Rule("x", "warning", "", "t", "", "", "one_of", "a", values=("P",))
            >>> rule.fails(pa.table({"a": ["P", "Q", None]})).to_pylist()
            [False, True, False]
        """
        broken = self._broken(table)
        for column, value in self.unless:
            if column in table.column_names:
                spared = pc.fill_null(pc.equal(table.column(column), value), False)
                broken = pc.and_not(broken, spared)
        return broken

    def _broken(self, table: pa.Table) -> pa.ChunkedArray:
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
class Found:
    """A rule that a format keeps itself, where it reads the value.

    Attributes:
        id: Name under which rejects are counted.
        level: ``record``, ``row`` or ``warning``.
        clause: Where the standard asks for it.
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
    known = {f.name for f in fields(Rule)}
    if odd := spec.keys() - known:
        raise DefinitionError(
            f"{where}: unknown key {', '.join(sorted(odd))}.", did_you_mean(sorted(odd)[0], known)
        )
    name = spec.get("id", "a rule without id")
    missing = [
        k
        for k in ("id", "level", "clause", "table", "location", "message", "check", "column")
        if not spec.get(k)
    ]
    if missing:
        raise DefinitionError(f"{where}, {name}: {', '.join(missing)} missing.")
    if spec["level"] not in LEVELS or spec["check"] not in CHECKS:
        raise DefinitionError(
            f"{where}, {name}: unknown level or check.",
            f"Levels: {', '.join(LEVELS)}. Checks: {', '.join(CHECKS)}.",
        )
    table = load_tables().get(spec["table"])
    if table is None or spec["column"] not in table.columns:
        raise DefinitionError(f"{where}, {name}: there is no such table or column.")
    lists = {
        "values": tuple(spec.get("values", ())),
        "unless": tuple(spec.get("unless", {}).items()),
    }
    return Rule(**(spec | lists))


def _found(where: str, spec: dict[str, Any]) -> Found:
    known = {f.name for f in fields(Found)}
    missing = [k for k in ("id", "level", "clause") if not spec.get(k)]
    if missing or spec.keys() - known or spec["level"] not in LEVELS:
        raise DefinitionError(
            f"{where}, {spec.get('id', 'a rule without id')}: a found rule has id, level and "
            "clause, and may say that it is of the file."
        )
    return Found(**spec)


@cache
def load_rules(format_name: str) -> tuple[Rule, ...]:
    """Return the rules of a format; a format without a file has none.

    Raises:
        DefinitionError: A rule lacks a key, or names an unknown table or column.
    """
    where, spec = _read(format_name)
    return tuple(_rule(where, rule) for rule in spec.get("rule", ()))


@cache
def found_rules(format_name: str) -> tuple[Found, ...]:
    """Return the rules that a format keeps itself, as far as its file tells them.

    Raises:
        DefinitionError: A rule lacks a key.
    """
    where, spec = _read(format_name)
    return tuple(_found(where, rule) for rule in spec.get("found", ()))


def rules_of_records() -> pa.Table:
    """Return every rule that a record can break: format, rule, level and clause."""
    rows = []
    for name in sorted(f.stem for f in resource("catalog/quality").glob("*.toml")):
        found = (r for r in found_rules(name) if r.of == "record")
        rules: tuple[Rule | Found, ...] = (*load_rules(name), *found)
        rows += [(name, rule.id, rule.level, rule.clause) for rule in rules]
    names = ("format", "rule", "level", "clause")
    schema = pa.schema([(n, pa.string()) for n in names])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)


def _read(format_name: str) -> tuple[str, dict[str, Any]]:
    file = resource("catalog/quality") / f"{format_name}.toml"
    return short_name(file), read_toml(file) if file.is_file() else {}

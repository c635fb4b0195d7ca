"""The mapping files: which HL7 field feeds which column (``catalog/hl7v2/*.toml``).

A file names a table, the segment of which each occurrence makes a row, the segments that govern
that row, and per column where its value stands::

    table   = "observations"
    segment = "OBX"
    within  = ["PID", "PV1", "OBR"]        # the nearest one before, in the same message
    only    = "MSH-9.1 not in SIU"         # rows of these messages only
    needs   = ["PID"]                      # rows that one of these segments governs only

    [after]
    SPM = ["OBR", "ORC"]                   # the first one behind, up to the next of these

    [coded]
    code = "OBX-3"                         # fills code, code_system, code_display, alt_code ...

    [columns]
    patient_id  = "PID-3 | PID-2"          # the first that is present
    observed_at = "OBX-14 | OBR-7"
    status      = { from = "OBX-11", codes = "hl7_0085" }
    class       = { from = "PV1-2.1", codes = "encounter_classes", else = "other" }
    kind        = { value = "dispense" }   # the same for every row
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any

import pyarrow as pa

from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import (
    Column,
    Table,
    add_site_tables,
    load_tables,
    read_site_tables,
)
from lakehouse.errors import DefinitionError, did_you_mean

PREVIOUS = "previous "
"""Before a path: the segment of the same kind before the row's own, in the same message."""


@dataclass(frozen=True)
class Path:
    """A place in a message: ``PID-3``, ``PID-3.1``, ``FT1-11.1.2``, ``previous PID-3``."""

    segment: str
    field: int
    component: int = 0
    subcomponent: int = 0

    def __str__(self) -> str:
        parts = [p for p in (self.component, self.subcomponent) if p]
        return f"{self.segment}-{'.'.join(map(str, (self.field, *parts)))}"


@dataclass(frozen=True)
class Condition:
    """``PATH in A B`` or ``PATH not in A B``."""

    path: Path
    values: frozenset[str]
    negated: bool


@dataclass(frozen=True)
class Feed:
    """How one column is filled.

    Attributes:
        column: Name of the column (for ``coded``, of the code column).
        paths: Places in order of preference.
        kind: Converter: text, number, int, bool, time, date, hour, year, CX, EI, XCN, HD,
            coded, varies, range-low, range-high, message-type, event.
        codes: Code set that translates the value; values it does not list are dropped.
        other: What stands for values that the code set does not list, in place of nothing.
        constant: Value of every row, instead of paths.
        when: Only rows that meet it are filled.
    """

    column: str
    paths: tuple[Path, ...]
    kind: str
    codes: str | None = None
    other: str | None = None
    constant: str | None = None
    when: Condition | None = None


@dataclass(frozen=True)
class Mapping:
    """One mapping file."""

    name: str
    table: Table
    segment: str
    within: tuple[str, ...]
    after: dict[str, tuple[str, ...]]
    only: Condition | None
    needs: tuple[str, ...]
    feeds: tuple[Feed, ...]


_PATH = re.compile(r"(previous )?([A-Z][A-Z0-9]{2})-(\d{1,3})(?:\.(\d{1,2}))?(?:\.(\d{1,2}))?")
_CONDITION = re.compile(r"(\S+(?: \S+)??) (not in|in) (.+)")


def parse_path(text: str) -> Path:
    """Read one path.

    Raises:
        DefinitionError: It is not one.

    Examples:
        >>> str(parse_path("PID-3.4.1"))
        'PID-3.4.1'
    """
    match = _PATH.fullmatch(text.strip())
    if match is None:
        raise DefinitionError(f"{text!r} is not an HL7 path.", "Write PID-3, PID-3.1 or PID-3.4.1.")
    previous, segment, *numbers = match.groups()
    return Path((previous or "") + segment, *(int(n or 0) for n in numbers))


def parse_condition(text: str) -> Condition:
    """Read a condition such as ``OBX-2 in NM SN``."""
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise DefinitionError(f"{text!r} is not a condition.", "Write `OBX-2 in NM SN`.")
    return Condition(parse_path(match[1]), frozenset(match[3].split()), match[2] == "not in")


def _kind(column: Column, path: Path) -> str:
    """Return the converter that a column's type and class ask for."""
    if pa.types.is_timestamp(column.type):
        return "time"
    if pa.types.is_date(column.type):
        return "date"
    if pa.types.is_floating(column.type):
        return "number"
    if pa.types.is_boolean(column.type):
        return "bool"
    if pa.types.is_integer(column.type):
        return "year" if column.phi == "birth_date" else "int"
    if path.component:
        return "id" if _is_qualified(column) else "text"
    if column.phi == "patient":
        return "CX"
    if column.phi == "provider":
        return "XCN"
    if column.phi == "facility":
        return "HD"
    return "EI" if column.phi.startswith("identifier.") else "text"


def _is_qualified(column: Column) -> bool:
    return column.phi in ("patient", "provider", "facility") or "identifier." in column.phi


def _feed(where: str, table: Table, name: str, spec: Any) -> Feed:
    if name not in table.columns:
        raise DefinitionError(
            f"{where}: {table.name} has no column {name}.", did_you_mean(name, table.columns)
        )
    spec = {"from": spec} if isinstance(spec, str) else dict(spec)
    if odd := spec.keys() - {"from", "as", "codes", "else", "when", "value"}:
        raise DefinitionError(f"{where}, {name}: unknown key {', '.join(sorted(odd))}.")
    when = parse_condition(spec["when"]) if "when" in spec else None
    if "value" in spec:
        return Feed(name, (), "constant", constant=spec["value"], when=when)
    paths = tuple(parse_path(p) for p in spec["from"].split("|"))
    kind = spec.get("as") or _kind(table.columns[name], paths[0])
    return Feed(name, paths, kind, spec.get("codes"), spec.get("else"), when=when)


def read_mapping(file: FilePath, tables: dict[str, Table]) -> Mapping:
    """Read one mapping file.

    Raises:
        DefinitionError: It is not TOML, names no such table or column, or uses a segment that it
            does not list under ``segment``, ``within`` or ``after``.
    """
    where = f"{file.parent.name}/{file.name}"
    try:
        spec = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{where} is not valid TOML: {error}.") from error
    for key in ("table", "segment"):
        if key not in spec:
            raise DefinitionError(f"{where}: `{key}` is missing.")
    if spec["table"] not in tables:
        raise DefinitionError(
            f"{where}: there is no table {spec['table']}.", did_you_mean(spec["table"], tables)
        )
    table = tables[spec["table"]]
    feeds = [_feed(where, table, n, s) for n, s in spec.get("columns", {}).items()]
    for name, paths in spec.get("coded", {}).items():
        feeds.append(Feed(name, tuple(parse_path(p) for p in paths.split("|")), "coded"))
    if "varies" in spec:
        feeds.append(Feed("value", (parse_path(spec["varies"]),), "varies"))
    mapping = Mapping(
        file.stem,
        table,
        spec["segment"],
        tuple(spec.get("within", ())),
        {k: tuple(v) for k, v in spec.get("after", {}).items()},
        parse_condition(spec["only"]) if "only" in spec else None,
        tuple(spec.get("needs", ())),
        tuple(feeds),
    )
    reachable = {mapping.segment, *mapping.within, *mapping.after, "MSH"}
    for segment in mapping.needs:
        if segment not in reachable:
            raise DefinitionError(
                f"{where}: `needs` names {segment}, which the file does not list.",
                f"Add {segment} to `within` or `[after]`.",
            )
    for feed in mapping.feeds:
        for path in (*feed.paths, *((feed.when.path,) if feed.when else ())):
            if path.segment not in reachable:
                raise DefinitionError(
                    f"{where}, {feed.column}: {path} uses a segment that the file does not list.",
                    f"Add {path.segment} to `within` or `[after]`.",
                )
    return mapping


@cache
def load_mappings(folders: Sequence[str] = ()) -> tuple[Mapping, ...]:
    """Return the shipped mappings, then those of a site's own folders."""
    add_site_tables(read_site_tables(folders))
    tables = load_tables()
    files = sorted(resource("catalog/hl7v2").glob("*.toml"))
    for folder in folders:
        files += sorted(FilePath(folder).glob("*.toml"))
    return tuple(read_mapping(f, tables) for f in files)


@cache
def code_set(name: str) -> dict[str, str]:
    """Return what ``catalog/codes/<name>.csv`` says: code -> value, upper-case keys.

    A set without a column ``value`` only lists codes: each stands for itself.
    """
    file = resource("catalog/codes") / f"{name}.csv"
    if not file.is_file():
        raise DefinitionError(f"There is no code set {name} in catalog/codes.")
    with file.open(encoding="utf-8", newline="") as rows:
        lines = (line for line in rows if not line.startswith("#"))
        return {row["code"].upper(): row.get("value", row["code"]) for row in csv.DictReader(lines)}

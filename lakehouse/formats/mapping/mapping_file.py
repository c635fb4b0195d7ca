"""Mapping files: ``catalog/<format>/*.toml``, and those of a site, read and checked.

A file names a table and, for each column, the places of a record that feed it::

    table = "observations"

    [coded]
    code = "OBX-3"                         # fills code, code_system, code_display, alt_code ...

    [columns]
    patient_id  = "PID-3 | PID-2"          # the first one that has a value
    dose_mgy    = "CTDIvol | Dose * 0.001" # in another unit than the column's
    status      = { from = "OBX-11", codes = "hl7_0085" }
    class       = { from = "PV1-2.1", codes = "encounter_classes", else = "other" }
    note_id     = { from = "NTE-1", as = "id", when = "NTE-4 in RE" }
    kind        = { value = "dispense" }   # the same for every row

What a place is depends on the format. It brings a ``Grammar``: how a path reads, and which keys
of its own a column may have. A file in a site's folder says by ``format`` what it maps (HL7 v2
where it does not), and may define the table that it feeds in a part ``[definition]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from lakehouse.batch import BIRTH_DATE
from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import (
    Column,
    Table,
    add_site_tables,
    load_tables,
    read_site_tables,
)
from lakehouse.definitions.toml_file import read_toml, short_name
from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.formats.mapping.code_sets import code_set

P = TypeVar("P")

FROM = "from"
"""The key of a column's place, where the format's grammar has no other for it."""

UNNAMED_FORMAT = "hl7v2"
"""What a file in a site's folder maps when it does not say."""

_CONDITION = re.compile(r"(\S+(?: \S+)??) (not in|in) (.+)")
_BIRTH_COLUMN = Column(BIRTH_DATE, pa.date32(), "birth_date", "Feeds ages; never stored.")


@dataclass(frozen=True)
class Conversion:
    """What the value at a place becomes.

    Attributes:
        kind: Name of the conversion: ``text``, ``number``, ``time`` ..., and the format's own.
        codes: Code set that translates the value (``catalog/codes``).
        otherwise: What stands for a value that the code set does not list.
        type: Arrow type of the column.
        options: What the format's own keys say.
    """

    kind: str
    codes: str | None = None
    otherwise: Any = None
    type: pa.DataType = field(default_factory=pa.string)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


TEXT = Conversion("text")


@dataclass(frozen=True)
class Place(Generic[P]):
    """Where a value stands: alternatives, first choice first.

    Attributes:
        paths: The alternatives.
        conversion: What their values become.
        factors: Into the column's unit, one a path.
    """

    paths: tuple[P, ...]
    conversion: Conversion
    factors: tuple[float, ...]


@dataclass(frozen=True)
class Condition(Generic[P]):
    """``PATH in A B`` or ``PATH not in A B``; a missing value is in no list."""

    path: P
    values: frozenset[str]
    negated: bool


@dataclass(frozen=True)
class ColumnMapping(Generic[P]):
    """How one column is filled.

    Attributes:
        column: Name of the column; of a coded element, of its code column.
        kind: How its places make a value; of a single place, the kind of its conversion.
        places: Places by key: ``from``, or those of the format's own keys.
        constant: Value of every row, in place of places.
        default: Value of rows where no place has one.
        when: Only rows that meet it are filled.
        options: What the format's own keys say.
    """

    column: str
    kind: str
    places: Mapping[str, Place[P]] = field(default_factory=dict, hash=False)
    constant: Any = None
    default: Any = None
    when: Condition[P] | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def paths(self) -> tuple[P, ...]:
        """All paths that the column is read from."""
        return tuple(path for place in self.places.values() for path in place.paths)

    @property
    def codes(self) -> str | None:
        """The code set that translates its value."""
        return self.places[FROM].conversion.codes if FROM in self.places else None


@dataclass(frozen=True)
class TableMapping(Generic[P]):
    """One mapping file: the columns of a table that a format feeds.

    Attributes:
        name: The file's stem.
        table: The table.
        columns: What fills its columns.
        spec: The file itself, for what the format alone knows of.
        where: How messages name the file.
    """

    name: str
    table: Table
    columns: tuple[ColumnMapping[P], ...]
    spec: Mapping[str, Any] = field(repr=False, hash=False)
    where: str = ""


@dataclass(frozen=True)
class Grammar(Generic[P]):
    """What a format brings to the language of mapping files.

    Attributes:
        name: Name of the format, and of its folder in ``catalog/``.
        parse_path: Reads one path.
        kind_of: Names the conversion that a column asks for at a path, when the file names none.
        kinds: Conversions that ``as`` may name.
        places: Keys that name a place, besides ``from``, with the kind of their conversion.
        combined: Kind of a column by the key that is its first place (``date`` -> ``moment``).
        options: Further keys of a column.
        expand: Rewrites what a file says of a column before it is read.
        refine: Completes what was read of a column.
    """

    name: str
    parse_path: Callable[[str], P]
    kind_of: Callable[[Column, P, Mapping[str, Any]], str]
    kinds: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)
    combined: Mapping[str, str] = field(default_factory=dict)
    options: frozenset[str] = frozenset()
    expand: Callable[[dict[str, Any]], dict[str, Any]] = dict
    refine: Callable[[ColumnMapping[P], Column], ColumnMapping[P]] = lambda mapping, _: mapping


_KEYS = frozenset({FROM, "as", "codes", "else", "when", "value"})


def abstract_kind(column: Column) -> str:
    """Return what a column holds, by its type and PHI class.

    Examples:
        >>> columns = load_tables()["observations"].columns
        >>> [abstract_kind(columns[c]) for c in ("observed_at", "patient_id", "order_id", "unit")]
        ['time', 'patient', 'identifier', 'code']
    """
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
    if column.phi in ("patient", "provider", "facility", "code"):
        return column.phi
    return "identifier" if column.phi.startswith("identifier.") else "text"


def parse_condition(text: str, parse_path: Callable[[str], P]) -> Condition[P]:
    """Read a condition such as ``OBX-2 in NM SN``.

    Raises:
        DefinitionError: The text is not of the form ``PATH in A B`` or ``PATH not in A B``.
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise DefinitionError(f"{text!r} is not a condition.", "Write `OBX-2 in NM SN`.")
    return Condition(parse_path(match[1]), frozenset(match[3].split()), match[2] == "not in")


def _place(text: str, conversion: Conversion, grammar: Grammar[P]) -> Place[P]:
    """Read alternatives such as ``A | B * 0.001``."""
    paths, factors = [], []
    for alternative in text.split("|"):
        path, _, factor = alternative.partition("*")
        paths.append(grammar.parse_path(path.strip()))
        try:
            factors.append(float(factor or 1))
        except ValueError:
            raise DefinitionError(
                f"{factor.strip()!r} is not a factor.", "Write A * 0.001."
            ) from None
    return Place(tuple(paths), conversion, tuple(factors))


def _column(named: str, table: Table, name: str, stated: Any, grammar: Grammar[P]) -> Any:
    if name not in table.columns and name != BIRTH_DATE:
        raise DefinitionError(
            f"{named}: {table.name} has no column {name}.", did_you_mean(name, table.columns)
        )
    column = table.columns.get(name, _BIRTH_COLUMN)
    spec = grammar.expand({FROM: stated} if isinstance(stated, str) else dict(stated))
    known = _KEYS | grammar.options | grammar.places.keys()
    if odd := sorted(spec.keys() - known):
        raise DefinitionError(
            f"{named}, {name}: unknown key {', '.join(odd)}.", did_you_mean(odd[0], known)
        )
    try:
        return _read_column(table, column, spec, grammar)
    except DefinitionError as error:
        raise DefinitionError(f"{named}, {name}: {error.problem}", error.remedy) from error


def _read_column(
    table: Table, column: Column, spec: dict[str, Any], grammar: Grammar[P]
) -> ColumnMapping[P]:
    when = parse_condition(spec["when"], grammar.parse_path) if "when" in spec else None
    if "value" in spec:
        return ColumnMapping(column.name, "constant", constant=spec["value"], when=when)
    if "codes" in spec:
        code_set(spec["codes"])  # that there is one is said now, not when a file is read
    options = {key: spec[key] for key in grammar.options & spec.keys()}
    places: dict[str, Place[P]] = {}
    for key in (FROM, *grammar.places):
        if key not in spec:
            continue
        kind = grammar.places.get(key, "")
        conversion = Conversion(kind, type=column.type, options=options)
        places[key] = _place(spec[key], conversion, grammar)
    first = next((key for key in (FROM, *grammar.combined) if key in places), None)
    if first is None:
        keys = ", ".join((FROM, *grammar.combined))
        raise DefinitionError(f"one of {keys}, value is needed.")
    otherwise = spec.get("else")
    if first == FROM:
        kind = spec.get("as") or grammar.kind_of(column, places[FROM].paths[0], options)
        if "as" in spec and kind not in grammar.kinds:
            raise DefinitionError(f"unknown kind {kind}.", did_you_mean(kind, grammar.kinds))
        codes = spec.get("codes")
        conversion = Conversion(kind, codes, otherwise if codes else None, column.type, options)
        places[FROM] = Place(places[FROM].paths, conversion, places[FROM].factors)
        default = None if codes else otherwise
    else:
        kind, default = grammar.combined[first], None
        options |= {} if otherwise is None else {"else": otherwise}
    mapping = ColumnMapping(column.name, kind, places, None, default, when, options)
    return grammar.refine(mapping, column)


def read_mapping(
    file: Path, tables: Mapping[str, Table], grammar: Grammar[P], needed: Sequence[str] = ()
) -> TableMapping[P]:
    """Read one mapping file.

    Args:
        file: The file.
        tables: The tables that there are.
        grammar: How its format reads paths, and its own keys.
        needed: Keys that the format wants besides ``table``.

    Raises:
        DefinitionError: The file is not TOML, lacks a key that is needed, or names a table, a
            column, a key, a code set or a path that there is not.
    """
    named, spec = short_name(file), read_toml(file)
    for key in ("table", *needed):
        if key not in spec:
            raise DefinitionError(f"{named}: `{key}` is missing.")
    if spec["table"] not in tables:
        raise DefinitionError(
            f"{named}: there is no table {spec['table']}.", did_you_mean(spec["table"], tables)
        )
    table = tables[spec["table"]]
    columns = [
        _column(named, table, name, stated, grammar)
        for name, stated in spec.get("columns", {}).items()
    ]
    for name, paths in spec.get("coded", {}).items():
        columns.append(ColumnMapping(name, "coded", {FROM: _place(paths, TEXT, grammar)}))
    return TableMapping(file.stem, table, tuple(columns), spec, named)


def mapping_files(format_name: str, folders: Sequence[str]) -> list[Path]:
    """Return the mapping files of a format: the shipped ones, then those of a site's folders.

    The tables that a site's files define are known from then on.

    Raises:
        DefinitionError: A folder, a definition or the format that a file names is at fault.
    """
    add_site_tables(read_site_tables(folders))
    files = sorted(resource(f"catalog/{format_name}").glob("*.toml"))
    for folder in folders:
        files += [f for f in sorted(Path(folder).glob("*.toml")) if _format_of(f) == format_name]
    return files


def _format_of(file: Path) -> str:
    stated = read_toml(file).get("format", UNNAMED_FORMAT)
    shipped = sorted(p.parent.name for p in resource("catalog").glob("*/records.toml"))
    mapped = [name for name in shipped if name != "tables"]
    if stated not in mapped:
        raise DefinitionError(
            f"{short_name(file)}: no format named {stated} has mapping files.",
            did_you_mean(str(stated), mapped) or f"Known: {', '.join(mapped)}.",
        )
    return str(stated)


def load_mappings(
    grammar: Grammar[P], folders: Sequence[str] = (), needed: Sequence[str] = ()
) -> tuple[TableMapping[P], ...]:
    """Return the shipped mappings of a format, then those of a site's own folders.

    Raises:
        DefinitionError: A file or a folder is at fault.
    """
    files = mapping_files(grammar.name, folders)
    return tuple(read_mapping(file, load_tables(), grammar, needed) for file in files)

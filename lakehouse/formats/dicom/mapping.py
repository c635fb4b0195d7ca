"""Which attribute feeds which column: ``catalog/dicom/*.toml`` compiled to tags.

The syntax is described at the top of ``catalog/dicom/imaging_instances.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from lakehouse.batch import BIRTH_DATE
from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import load_tables
from lakehouse.definitions.toml_file import read_toml
from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.formats.dicom.vocabulary.dictionary import dictionary_vr, keyword_tag
from lakehouse.formats.dicom.vocabulary.safe_values import value_rule

SHARED_GROUPS, FIRST_FRAME = 0x52009229, 0x52009230
FRAME = "Frame"

Key = int | tuple[int, ...]
"""A tag, or the tags from a sequence down; ``(0, ...)`` begins in the functional groups."""

OPTIONS = frozenset(["from", "part", "join", "values", "present", "length", "names", "else"])
OPTIONS |= {"patient", "id", "issuer", "date", "time", "needs", "at"}
OPTIONS |= {"hour", "birth", "year", "age"}

PATIENT = {"id": "PatientID", "issuer": "IssuerOfPatientID", "else": "authority"}
"""Who a patient is, in every table and in exported copies: the number with who gave it, else with
the ingest's authority (``patient = true`` in a mapping)."""


@dataclass(frozen=True)
class Feed:
    """How one column is filled.

    Attributes:
        column: Name of the column.
        type: Its Arrow type.
        kind: ``value``, ``id``, ``moment``, ``hour``, ``birth`` or ``age``.
        keys: Where the value stands, first choice first (the date, for a moment).
        more: The same for what goes with it: issuer of an id, time of a moment, scheme of a code
            and code of a scheme.
        at: The same for the DT attribute of a moment.
        factors: Into the column's unit, by the key whose attribute has another.
        rule: What each value must pass to be kept (``harmless``), or None.
        options: What else the definition says.
    """

    column: str
    type: pa.DataType
    kind: str
    keys: tuple[Key, ...]
    more: tuple[Key, ...] = ()
    at: tuple[Key, ...] = ()
    factors: Mapping[Key, float] = field(default_factory=dict, hash=False)
    rule: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class TableMapping:
    """All feeds of one table."""

    table: str
    feeds: tuple[Feed, ...]


def _factors(text: str) -> dict[Key, float]:
    """Return the keys of alternatives such as ``A | S.B * 0.001``, each with its factor."""
    found: dict[Key, float] = {}
    for alternative in text.split("|"):
        path, _, factor = alternative.partition("*")
        names = path.strip().split(".")
        tags = tuple(0 if n == FRAME else keyword_tag(n) for n in names)
        found[tags[0] if len(tags) == 1 else tags] = float(factor or 1)
    return found


def _keys(text: str) -> tuple[Key, ...]:
    return tuple(_factors(text))


def _beside(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """Return where the schemes of codes stand, and the codes of schemes; nothing for others."""
    code, scheme = keyword_tag("CodeValue"), keyword_tag("CodingSchemeDesignator")
    other = {code: scheme, scheme: code}
    return tuple((*k[:-1], other[k[-1]]) for k in keys if isinstance(k, tuple) and k[-1] in other)


def _rule(phi: str, key: Key, options: Mapping[str, Any]) -> str | None:
    """Return the rule for the values of a column of codes."""
    if phi != "code" or "values" in options or "names" in options:
        return None
    tag = key if isinstance(key, int) else key[-1]
    return value_rule(tag, dictionary_vr(tag).decode())


def _feed(table: str, column: str, spec: str | dict[str, Any]) -> Feed:
    where = f"catalog/dicom/{table}.toml, column {column}"
    options: dict[str, Any] = {"from": spec} if isinstance(spec, str) else dict(spec)
    if options.pop("patient", False):
        options |= PATIENT
    if unknown := set(options) - OPTIONS:
        raise DefinitionError(f"{where}: unknown key {', '.join(sorted(unknown))}.")
    schema = load_tables()[table].schema
    if column != BIRTH_DATE and column not in schema.names:
        raise DefinitionError(
            f"{where}: the table has no such column.", did_you_mean(column, schema.names)
        )
    kind_of = pa.date32() if column == BIRTH_DATE else schema.field(column).type
    at = _keys(options["at"]) if "at" in options else ()
    if "from" in options:
        factors = _factors(options["from"])
        keys = tuple(factors)
        scaled = {key: factor for key, factor in factors.items() if factor != 1}
        rule = _rule(load_tables()[table].columns[column].phi, keys[0], options)
        return Feed(
            column, kind_of, "value", keys, _beside(keys), (), scaled, rule=rule, options=options
        )
    if "id" in options:
        issuer = _keys(options["issuer"]) if "issuer" in options else ()
        return Feed(column, kind_of, "id", _keys(options["id"]), issuer, options=options)
    for kind, key in (("hour", "hour"), ("birth", "birth"), ("age", "age")):
        if key in options:
            return Feed(column, kind_of, kind, _keys(options[key]), at=at, options=options)
    if "date" in options or at:
        date = _keys(options["date"]) if "date" in options else ()
        time = _keys(options["time"]) if "time" in options else ()
        return Feed(column, kind_of, "moment", date, time, at, options=options)
    raise DefinitionError(f"{where}: one of from, id, date, at, hour, birth, age is needed.")


@cache
def mappings() -> tuple[TableMapping, ...]:
    """Return the mapping of every table that instances feed column by column.

    Raises:
        DefinitionError: A definition names an unknown attribute, column or option.
    """
    found = []
    for path in sorted(resource("catalog/dicom").glob("*.toml")):
        spec = read_toml(path)
        feeds = [_feed(spec["table"], c, s) for c, s in spec["columns"].items()]
        found.append(TableMapping(spec["table"], tuple(feeds)))
    return tuple(found)


@cache
def paths() -> frozenset[tuple[int, ...]]:
    """Return every path into a sequence that a mapping names."""
    keys = (k for m in mappings() for f in m.feeds for k in (*f.keys, *f.more, *f.at))
    return frozenset(k for k in keys if isinstance(k, tuple))


@cache
def header_tags() -> dict[int, bytes]:
    """Return the tags that a mapping names at top level, with the VR of the standard."""
    keys = [k for m in mappings() for f in m.feeds for k in (*f.keys, *f.more, *f.at)]
    tags = {k if isinstance(k, int) else k[0] for k in keys} - {0}
    if any(isinstance(k, tuple) and k[0] == 0 for k in keys):
        tags |= {SHARED_GROUPS, FIRST_FRAME}
    tags |= {keyword_tag("SpecificCharacterSet"), keyword_tag("TimezoneOffsetFromUTC")}
    return {tag: dictionary_vr(tag) for tag in sorted(tags)}

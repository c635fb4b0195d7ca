"""Which attribute feeds which column: ``catalog/dicom/*.toml`` compiled to tags.

The keys of this format are described at the top of ``catalog/dicom/imaging_instances.toml``, those
of every format in ``lakehouse.formats.mapping.mapping_file``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from lakehouse.definitions.tables import Column
from lakehouse.errors import DefinitionError
from lakehouse.formats.dicom.vocabulary.dictionary import dictionary_vr, keyword_tag
from lakehouse.formats.dicom.vocabulary.safe_values import value_rule
from lakehouse.formats.mapping import mapping_file
from lakehouse.formats.mapping.mapping_file import (
    FROM,
    TEXT,
    ColumnMapping,
    Conversion,
    Grammar,
    Place,
    TableMapping,
    abstract_kind,
)

SHARED_GROUPS, FIRST_FRAME = 0x52009229, 0x52009230
FRAME = "Frame"

Key = int | tuple[int, ...]
"""A tag, or the tags from a sequence down; ``(0, ...)`` begins in the functional groups."""

PATIENT = {"id": "PatientID", "issuer": "IssuerOfPatientID", "else": "authority"}
"""Who a patient is, in every table and in exported copies: the number with who gave it, else with
the ingest's authority (``patient = true`` in a mapping)."""

_BY_OPTION = ("present", "length", "join", "values", "names")
"""Options that name the conversion of a value by themselves."""


def parse_path(text: str) -> Key:
    """Read one path.

    Raises:
        DefinitionError: The path names an attribute that the standard does not have.

    Examples:
        >>> hex(parse_path("Modality"))
        '0x80060'
        >>> len(parse_path("Frame.PixelMeasuresSequence.SliceThickness"))
        3
    """
    tags = tuple(0 if n == FRAME else keyword_tag(n) for n in text.strip().split("."))
    return tags[0] if len(tags) == 1 else tags


def last_tag(path: Key) -> int:
    """Return the tag of the attribute that a path ends in."""
    return path if isinstance(path, int) else path[-1]


def _kind_of(column: Column, path: Key, options: Mapping[str, Any]) -> str:
    """Return the conversion that a column asks for, by its options, else by its type."""
    for option in _BY_OPTION:
        if options.get(option):
            return option
    kind = abstract_kind(column)
    if kind in ("time", "date", "year", "bool"):
        raise DefinitionError(
            f"`from` gives no {kind}.", "Write `date`, `at`, `birth`, `values` or `present`."
        )
    return kind if kind in ("number", "int", "code") else "text"


def _expand(spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, **PATIENT} if spec.pop("patient", False) else spec


def _refine(mapping: ColumnMapping[Key], column: Column) -> ColumnMapping[Key]:
    """Return the mapping with the rule for codes, and with the scheme that stands beside a code."""
    places = dict(mapping.places)
    if mapping.kind == "hour" and "at" in places:
        places["at"] = replace(places["at"], conversion=Conversion("hour-of-datetime"))
    if FROM not in places:
        return replace(mapping, places=places)
    stated = places[FROM]
    options = stated.conversion.options
    if column.phi == "code" and not options.keys() & {"values", "names"}:
        tag = last_tag(stated.paths[0])
        rule = value_rule(tag, dictionary_vr(tag).decode())
        conversion = replace(stated.conversion, options={**options, "rule": rule})
        places[FROM] = replace(stated, conversion=conversion)
    code, scheme = keyword_tag("CodeValue"), keyword_tag("CodingSchemeDesignator")
    kind = mapping.kind
    for own, other, name in ((code, scheme, "scheme"), (scheme, code, "code")):
        beside = [(*p[:-1], other) for p in stated.paths if isinstance(p, tuple) and p[-1] == own]
        if beside:
            kind = "public-code" if own == code else "public-system"
            places[name] = Place(tuple(beside), TEXT, (1.0,) * len(beside))
            if own == scheme:
                places["scheme"] = replace(stated, conversion=TEXT)
    return replace(mapping, kind=kind, places=places)


GRAMMAR: Grammar[Key] = Grammar(
    "dicom",
    parse_path,
    _kind_of,
    places={
        "id": "text",
        "issuer": "text",
        "date": "date",
        "time": "time",
        "at": "datetime",
        "hour": "hour",
        "birth": "date",
        "age": "age",
    },
    combined={
        "id": "id",
        "hour": "hour",
        "birth": "birth",
        "age": "age",
        "date": "moment",
        "at": "moment",
    },
    options=frozenset({"part", "needs", "year", *_BY_OPTION}),
    expand=_expand,
    refine=_refine,
)


@cache
def load_mappings(folders: Sequence[str] = ()) -> tuple[TableMapping[Key], ...]:
    """Return the mappings of the tables that instances feed column by column.

    Args:
        folders: A site's own folders of mappings.

    Raises:
        DefinitionError: A definition names an attribute, a column or an option that there is not.
    """
    return mapping_file.load_mappings(GRAMMAR, folders)


def _mapped_paths(folders: Sequence[str]) -> frozenset[Key]:
    return frozenset(p for m in load_mappings(folders) for c in m.columns for p in c.paths)


@cache
def paths_into_sequences(folders: Sequence[str] = ()) -> frozenset[tuple[int, ...]]:
    """Return every path into a sequence that a mapping names."""
    return frozenset(p for p in _mapped_paths(folders) if isinstance(p, tuple))


@cache
def header_tags(folders: Sequence[str] = ()) -> dict[int, bytes]:
    """Return the tags that a mapping names at top level, with the VR of the standard."""
    paths = _mapped_paths(folders)
    tags = {p if isinstance(p, int) else p[0] for p in paths} - {0}
    if any(isinstance(p, tuple) and p[0] == 0 for p in paths):
        tags |= {SHARED_GROUPS, FIRST_FRAME}
    tags |= {keyword_tag("SpecificCharacterSet"), keyword_tag("TimezoneOffsetFromUTC")}
    return {tag: dictionary_vr(tag) for tag in sorted(tags)}

"""Which HL7 field feeds which column, and which segments make rows (``catalog/hl7v2/*.toml``).

Beside what ``lakehouse.formats.mapping.mapping_file`` describes, a file of this format names the
segment of which each occurrence makes a row, and the segments that govern that row::

    segment = "OBX"
    within  = ["PID", "PV1", "OBR"]        # the nearest one before, in the same message
    only    = "MSH-9.1 not in SIU"         # rows of these messages only
    needs   = ["PID"]                      # rows that one of these segments governs only
    varies  = "OBX-5"                      # the value, by the type that OBX-2 names

    [after]
    SPM = ["OBR", "ORC"]                   # the first one behind, up to the next of these
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from lakehouse.definitions.tables import Column, Table, load_tables
from lakehouse.errors import DefinitionError
from lakehouse.formats.hl7v2.datatypes.paths import Path, parse_path
from lakehouse.formats.mapping import mapping_file
from lakehouse.formats.mapping.mapping_file import (
    FROM,
    TEXT,
    ColumnMapping,
    Condition,
    Grammar,
    Place,
    TableMapping,
    abstract_kind,
    parse_condition,
)

_KINDS: tuple[str, ...] = (
    "text",
    "number",
    "int",
    "bool",
    "time",
    "date",
    "hour",
    "year",
    "CX",
    "EI",
    "EIP",
)
_KINDS += ("XCN", "HD", "id", "sub-id", "range-low", "range-high", "message-type", "event")
_DATATYPES = {"patient": "CX", "provider": "XCN", "facility": "HD", "identifier": "EI"}
"""The data type of a whole field that holds an identifier, by what its column holds."""


@dataclass(frozen=True)
class SegmentMapping(TableMapping[Path]):
    """One mapping file of HL7.

    Attributes:
        segment: The segment of which each occurrence makes a row.
        within: Segments that govern the row and stand before it.
        after: Segments that stand behind it, each with those that end the search.
        only: Rows of the messages that meet it only.
        needs: Segments without which there is no row.
    """

    segment: str = ""
    within: tuple[str, ...] = ()
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    only: Condition[Path] | None = None
    needs: tuple[str, ...] = ()


def _kind_of(column: Column, path: Path, _: Mapping[str, Any]) -> str:
    """Return the data type, or the conversion, that a column's type and PHI class ask for."""
    kind = abstract_kind(column)
    if kind in _DATATYPES:
        return "id" if path.component else _DATATYPES[kind]
    return "text" if kind == "code" else kind


GRAMMAR: Grammar[Path] = Grammar(
    "hl7v2",
    parse_path,
    _kind_of,
    kinds=frozenset(_KINDS),
)


def read_mapping(file: FilePath, tables: Mapping[str, Table]) -> SegmentMapping:
    """Read one mapping file.

    Raises:
        DefinitionError: The file is at fault (``mapping_file.read_mapping``), or it uses a
            segment that it does not list under ``segment``, ``within`` or ``after``.
    """
    return _of_segments(mapping_file.read_mapping(file, tables, GRAMMAR, ["segment"]))


def _of_segments(read: TableMapping[Path]) -> SegmentMapping:
    spec, columns = read.spec, read.columns
    try:
        only = parse_condition(spec["only"], parse_path) if "only" in spec else None
        if "varies" in spec:
            place = Place((parse_path(spec["varies"]),), TEXT, (1.0,))
            columns = (*columns, ColumnMapping("value", "varies", {FROM: place}))
    except DefinitionError as error:
        raise DefinitionError(f"{read.where}: {error.problem}", error.remedy) from error
    mapping = SegmentMapping(
        read.name,
        read.table,
        columns,
        spec,
        read.where,
        spec["segment"],
        tuple(spec.get("within", ())),
        {k: tuple(v) for k, v in spec.get("after", {}).items()},
        only,
        tuple(spec.get("needs", ())),
    )
    _check_segments(mapping)
    return mapping


def _check_segments(mapping: SegmentMapping) -> None:
    reachable = {mapping.segment, *mapping.within, *mapping.after, "MSH"}
    for segment in mapping.needs:
        if segment not in reachable:
            raise DefinitionError(
                f"{mapping.where}: `needs` names {segment}, which the file does not list.",
                f"Add {segment} to `within` or `[after]`.",
            )
    for column in mapping.columns:
        for path in (*column.paths, *((column.when.path,) if column.when else ())):
            if path.segment not in reachable:
                raise DefinitionError(
                    f"{mapping.where}, {column.column}: {path} uses a segment that the file does "
                    "not list.",
                    f"Add {path.segment} to `within` or `[after]`.",
                )


@cache
def load_mappings(folders: Sequence[str] = ()) -> tuple[SegmentMapping, ...]:
    """Return the shipped mappings, then those of a site's own folders.

    Raises:
        DefinitionError: A file or a folder is at fault.
    """
    files = mapping_file.mapping_files(GRAMMAR.name, folders)
    return tuple(read_mapping(file, load_tables()) for file in files)

"""Builds the mapped columns of many objects at once; equal values are converted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import BIRTH_DATE, RawBatch, Reject
from lakehouse.formats.binding.codings import LOCAL
from lakehouse.formats.binding.instants import DAY, instants
from lakehouse.formats.dicom.encoding import values as stored
from lakehouse.formats.dicom.encoding.values import text
from lakehouse.formats.dicom.mapping import Key, last_tag, load_mappings
from lakehouse.formats.dicom.record import Record, empty
from lakehouse.formats.dicom.vocabulary.concepts import is_public
from lakehouse.formats.dicom.vocabulary.dictionary import names, tag_name
from lakehouse.formats.dicom.vocabulary.safe_values import is_allowed
from lakehouse.formats.mapping.build import build_column
from lakehouse.formats.mapping.mapping_file import FROM, ColumnMapping, Conversion, TableMapping
from lakehouse.identifiers import qualified

TIME_ZONE_OFFSET = 0x00080201
_HOUR = 3_600_000_000
_BAD, _UNKNOWN = object(), object()
_OFFSET = Conversion("offset")

Convert = Callable[[bytes, Any], Any]


class Columns:
    """The columns of some records, and the values among them that could not be read.

    Attributes:
        records: The records, one a row.
        bad: Position of the record and tag of each value that is not what its VR promises.
        unknown: How many values of code columns could not be a code of theirs and were dropped,
            by position of the record.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.bad: set[tuple[int, int]] = set()
        self.unknown: Counter[int] = Counter()
        self._values = [r.values for r in records]
        self._present: set[Key] = set().union(*self._values)

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.records)

    def value(self, path: Key, conversion: Conversion, found: pa.Array | None) -> pa.Array | None:
        """Return the values at a path, one a record; None where no record has the attribute."""
        if path not in self._present:
            return None
        convert, kind = _converter(conversion)
        column: list[Any] = [None] * len(self._values)
        converted: dict[Any, Any] = {}
        valid = None if found is None else found.is_valid().to_pylist()
        for row, values in enumerate(self._values):
            if valid and valid[row]:
                continue
            element = values.get(path)
            if element is None:
                continue
            try:
                result = converted[element]
            except KeyError:
                result = converted[element] = _convert(convert, element)
            except TypeError:  # the items of a JSON sequence have no hash
                result = _convert(convert, element)
            if result is _BAD:
                self.bad.add((row, last_tag(path)))
            elif result is _UNKNOWN:
                self.unknown[row] += 1
            else:
                column[row] = result
        return pa.array(column, kind)

    def combine(
        self, mapping: ColumnMapping[Key], values: dict[str, pa.Array | None]
    ) -> pa.Array | None:
        """Return one column from the values of its places."""
        match mapping.kind:
            case "id":
                return self._identifiers(mapping, values)
            case "moment":
                return self._instants(mapping, values)
            case "hour":
                return _coalesce(values["hour"], values.get("at"))
            case "birth":
                return _birth(values["birth"], bool(mapping.options.get("year")))
            case "age":
                return values["age"]
            case "public-code":
                return self._public_codes(values[FROM], values["scheme"])
            case "public-system":
                return _public_systems(values[FROM], values["code"], values["scheme"])
        return values[FROM]

    def _identifiers(
        self, mapping: ColumnMapping[Key], values: dict[str, pa.Array | None]
    ) -> pa.Array | None:
        numbers, issuers = values["id"], values.get("issuer")
        if numbers is None:
            return None
        if mapping.options.get("else") == "authority":
            ours = pa.array([r.source.authority for r in self.records], pa.string())
            return qualified(ours if issuers is None else pc.coalesce(issuers, ours), numbers)
        return qualified("" if issuers is None else issuers, numbers)

    def _public_codes(self, codes: pa.Array | None, schemes: pa.Array | None) -> pa.Array | None:
        """Return the codes that are public ones; others may be anything that somebody typed."""
        if codes is None:
            return None
        designators = [None] * len(codes) if schemes is None else schemes.to_pylist()
        public: list[str | None] = [None] * len(codes)
        for row, (code, scheme) in enumerate(zip(codes.to_pylist(), designators, strict=True)):
            if code and is_public(scheme or "", code):
                public[row] = code
            elif code:
                self.unknown[row] += 1
        return pa.array(public, pa.string())

    @cached_property
    def _offsets(self) -> pa.Array | None:
        """Minutes east of UTC that the records state for all their times."""
        return self.value(TIME_ZONE_OFFSET, _OFFSET, None)

    def _instants(
        self, mapping: ColumnMapping[Key], values: dict[str, pa.Array | None]
    ) -> pa.Array | None:
        """Return instants: the DT attribute, else date and time, each on its own clock."""
        dates, times, stamps = values.get("date"), values.get("time"), values.get("at")
        local, east = None, self._offsets
        if dates is not None and not (times is None and mapping.options.get("needs")):
            local = pc.multiply(dates.cast(pa.int64()), DAY)
            if times is not None:
                clock = times if mapping.options.get("needs") else times.fill_null(0)
                local = pc.add(local, clock)
        if stamps is not None:
            stamped, own = pc.struct_field(stamps, 0), pc.struct_field(stamps, 1)
            local = _coalesce(stamped, local)
            east = pc.if_else(pc.is_valid(stamped), _coalesce(own, east), east)
        if local is None:
            return None
        return instants(local, east, [r.source.time_zone for r in self.records])


def _coalesce(first: pa.Array | None, second: pa.Array | None) -> pa.Array | None:
    if first is None or second is None:
        return second if first is None else first
    return pc.coalesce(first, second)


def _public_systems(
    systems: pa.Array | None, codes: pa.Array | None, schemes: pa.Array | None
) -> pa.Array | None:
    """Return the systems of codes; of a code that is not public, ``local``."""
    if codes is None:
        return None
    none = [None] * len(codes)
    whole = zip(
        none if systems is None else systems.to_pylist(),
        codes.to_pylist(),
        none if schemes is None else schemes.to_pylist(),
        strict=True,
    )
    found = [c and (s if is_public(d or "", c) else LOCAL) for s, c, d in whole]
    return pa.array(found, pa.string())


def _birth(days: pa.Array | None, is_year: bool) -> pa.Array | None:
    if days is None:
        return None
    dates = days.cast(pa.date32())
    return pc.year(dates) if is_year else dates


def _convert(convert: Convert, element: tuple[bytes, Any]) -> Any:
    try:
        return convert(*element)
    except ValueError:
        return _BAD


def _of_text(read: Callable[[str], Any]) -> Convert:
    def convert(vr: bytes, value: Any) -> Any:
        found = text(vr, value)
        return None if found is None else read(found)

    return convert


def _hour_of_datetime(value: str) -> int | None:
    return None if len(value) < 10 else stored.datetime(value)[0] // _HOUR % 24


def _stamp(value: str) -> dict[str, int | None]:
    local, east = stored.datetime(value)
    return {"local": local, "east": east}


_STAMP = pa.struct([("local", pa.int64()), ("east", pa.int32())])
_CLOCK: dict[str, tuple[Convert, pa.DataType]] = {
    "date": (_of_text(stored.day), pa.int32()),
    "time": (_of_text(stored.microseconds), pa.int64()),
    "datetime": (_of_text(_stamp), _STAMP),
    "offset": (_of_text(stored.offset), pa.int32()),
    "hour": (_of_text(lambda value: stored.microseconds(value) // _HOUR), pa.int32()),
    "hour-of-datetime": (_of_text(_hour_of_datetime), pa.int32()),
    "age": (_of_text(stored.age_years), pa.int32()),
}
"""Conversions of dates and times, which no option changes, with the type of what they give."""


def _converter(conversion: Conversion) -> tuple[Convert, pa.DataType]:
    """Return the function for single values that a conversion asks for, and the type it gives."""
    if conversion.kind in _CLOCK:
        return _CLOCK[conversion.kind]
    options, kind = conversion.options, conversion.type
    part = int(options.get("part", 0))
    rule = options.get("rule")
    match conversion.kind:
        case "present":
            return lambda vr, value: not empty(value), pa.bool_()
        case "length":
            return lambda vr, value: len(text(vr, value) or "") or None, pa.int32()
        case "join":
            return lambda vr, value: _join_values(rule, stored.parts(vr, value)), pa.string()
        case "values":
            listed = options["values"]
            return lambda vr, value: listed.get(text(vr, value, part)), kind
        case "names":
            table = names(options["names"])
            otherwise = LOCAL if options["names"] == "coding_schemes" else None
            return lambda vr, value: table.get(text(vr, value, part) or "", otherwise), pa.string()
        case "number":
            return lambda vr, value: stored.number(vr, value, part), pa.float64()
        case "int":
            return lambda vr, value: stored.integer(vr, value, part, kind.bit_width), kind
        case "code" if rule is not None:
            return lambda vr, value: _checked_value(rule, text(vr, value, part)), pa.string()
    return lambda vr, value: text(vr, value, part), pa.string()


def _checked_value(rule: str, value: str | None) -> Any:
    return value if value is None or is_allowed(rule, value) else _UNKNOWN


def _join_values(rule: str | None, values: Sequence[Any]) -> Any:
    """Return all values with a backslash between, empty where one could not be a code."""
    texts = [str(value) for value in values]
    allowed = [value if is_allowed(rule, value) else "" for value in texts]
    return "\\".join(allowed) or None if any(allowed) or not any(texts) else _UNKNOWN


def add_tables(records: Sequence[Record], batch: RawBatch) -> None:
    """Add to a batch the rows that mappings describe, and a warning for each unreadable value."""
    columns = Columns(records)
    for mapping in load_mappings(records[0].source.mappings):
        batch.tables[mapping.table.name] = _table(mapping, columns)
    for row, n_dropped in columns.unknown.items():
        batch.count_dropped(records[row].source.file_id, "dicom.terms", n_dropped)
    for row, tag in sorted(columns.bad):
        record = records[row]
        batch.rejects.append(
            Reject(
                record.ordinal,
                "dicom.value",
                "A value is not what its data type promises; the column is null.",
                tag_name(tag),
                level="warning",
                file_id=record.source.file_id,
            )
        )


def _table(mapping: TableMapping[Key], columns: Columns) -> pa.Table:
    records, n = columns.records, columns.n_rows
    defined = mapping.table.columns
    rows: dict[str, pa.Array] = {}
    for entry in mapping.columns:
        kind = pa.date32() if entry.column == BIRTH_DATE else defined[entry.column].type
        column = build_column(entry, columns, columns.combine)
        rows[entry.column] = pa.nulls(n, kind) if column is None else column.cast(kind)
    if "age_years" in rows and BIRTH_DATE in rows:
        # as stated, only where no birth date gives a better one
        rows["age_years"] = pc.if_else(rows[BIRTH_DATE].is_valid(), None, rows["age_years"])
    rows["record_id"] = pa.array([r.record_id for r in records], pa.string())
    if mapping.table.name == "records":
        rows |= {
            "file_id": pa.array([r.source.file_id for r in records], pa.string()),
            "format": pa.repeat("dicom", n),
            "n_segments": pa.array([r.n_elements for r in records], pa.int32()),
            "n_unmapped": pa.array([r.n_elements - r.n_mapped for r in records], pa.int32()),
            "ordinal": pa.array([r.ordinal for r in records], pa.int64()),
        }
    else:
        rows["ordinal"] = pa.repeat(pa.scalar(0, pa.int32()), n)
    if "file_size" in defined:
        rows["file_size"] = pa.array([r.file_size for r in records], pa.int64())
    return pa.table(rows)

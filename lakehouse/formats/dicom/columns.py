"""Records -> Arrow tables, column by column; equal values are converted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import RawBatch, Reject
from lakehouse.definitions.tables import load_tables
from lakehouse.formats.dicom.encoding.values import (
    age_years,
    checked_date,
    checked_time,
    datetime,
    day,
    integer,
    microseconds,
    moment,
    number,
    offset,
    parts,
    text,
)
from lakehouse.formats.dicom.mapping import Feed, Key, TableMapping, mappings
from lakehouse.formats.dicom.record import Record, empty
from lakehouse.formats.dicom.vocabulary.concepts import is_public
from lakehouse.formats.dicom.vocabulary.dictionary import names, tag_name
from lakehouse.formats.dicom.vocabulary.safe_values import is_allowed
from lakehouse.identifiers import qualified_number

TIME_ZONE_OFFSET = 0x00080201
_HOUR = 3_600_000_000
_BAD, _UNKNOWN = object(), object()

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
        self.values = [r.values for r in records]
        self.bad: set[tuple[int, int]] = set()
        self.unknown: Counter[int] = Counter()

    def pick(
        self, keys: tuple[Key, ...], convert: Convert, factors: Mapping[Key, float] | None = None
    ) -> list[Any]:
        """Return one value a record: of the first key that has one."""
        found: list[Any] = [None] * len(self.values)
        for choice, key in enumerate(keys):
            cache: dict[Any, Any] = {}
            factor = factors.get(key) if factors else None
            for row, values in enumerate(self.values):
                if choice and found[row] is not None:
                    continue
                element = values.get(key)
                if element is None:
                    continue
                try:
                    result = cache[element]
                except KeyError:
                    result = cache[element] = _converted(convert, element)
                except TypeError:  # the items of a JSON sequence have no hash
                    result = _converted(convert, element)
                if result is _BAD:
                    self.bad.add((row, key if isinstance(key, int) else key[-1]))
                    result = None
                elif result is _UNKNOWN:
                    self.unknown[row] += 1
                    result = None
                found[row] = result * factor if factor and result is not None else result
        return found

    def column(self, feed: Feed, stated: dict[str, list[Any]]) -> pa.Array:
        """Return the column that a feed describes; ``stated`` collects what ages depend on."""
        if feed.kind == "moment":
            return self._moments(feed)
        if feed.kind == "id":
            return pa.array(self._ids(feed), pa.string())
        if feed.kind == "hour":
            hours = self.pick(feed.keys, _hour)
            return pa.array(self._else(hours, self.pick(feed.at, _hour_of_datetime)), feed.type)
        if feed.kind == "birth":
            days = self.pick(feed.keys, _day)
            stated["birth"] = days
            if feed.options.get("year"):
                return pc.year(pa.array(days, pa.int32()).cast(pa.date32())).cast(feed.type)
            return pa.array(days, pa.int32()).cast(pa.date32())
        if feed.kind == "age":
            return pa.array(self.pick(feed.keys, _age), feed.type)
        found = self.pick(feed.keys, _converter(feed), feed.factors)
        if feed.more:
            found = self._public(feed, found)
        if "else" in feed.options:
            found = [feed.options["else"] if value is None else value for value in found]
        return pa.array(found, feed.type)

    @staticmethod
    def _else(first: list[Any], second: list[Any]) -> list[Any]:
        return [b if a is None else a for a, b in zip(first, second, strict=True)]

    def _public(self, feed: Feed, found: list[Any]) -> list[Any]:
        """Return the codes that are public ones, or the systems of codes, of others ``local``."""
        if "names" in feed.options:
            codes, schemes = self.pick(feed.more, text), self.pick(feed.keys, text)
            whole = zip(found, codes, schemes, strict=True)
            return [c and (s if is_public(d or "", c) else "local") for s, c, d in whole]
        schemes = self.pick(feed.more, text)
        pairs = zip(found, schemes, strict=True)
        kept = [c if c and is_public(d or "", c) else None for c, d in pairs]
        self.unknown.update(row for row, c in enumerate(found) if c and kept[row] is None)
        return kept

    def _ids(self, feed: Feed) -> list[str | None]:
        numbers = self.pick(feed.keys, text)
        issuers = self.pick(feed.more, text)
        ours = feed.options.get("else") == "authority"
        return [
            qualified_number(i or (r.source.authority if ours else ""), n)
            for n, i, r in zip(numbers, issuers, self.records, strict=True)
        ]

    def _moments(self, feed: Feed) -> pa.Array:
        """Return instants: the DT attribute, else date and time, each on its own clock."""
        dates, times = self.pick(feed.keys, checked_date), self.pick(feed.more, checked_time)
        stamps = self.pick(feed.at, _datetime)
        offsets = self.pick((TIME_ZONE_OFFSET,), _offset)
        local = np.zeros(len(dates), "int64")
        east = np.zeros(len(dates), "int64")
        known = np.zeros(len(dates), bool)
        stated = np.zeros(len(dates), bool)
        for row, (date, stamp) in enumerate(zip(dates, stamps, strict=True)):
            shift = offsets[row]
            if stamp is not None:
                local[row], own = stamp
                shift = shift if own is None else own
            elif date is not None and not (feed.options.get("needs") and times[row] is None):
                local[row] = moment(date, times[row] if times else None)
            else:
                continue
            known[row] = True
            if shift is not None:
                east[row], stated[row] = shift * 60_000_000, True
        return instants(local, east, known, stated, [r.source.time_zone for r in self.records])


def instants(
    local: np.ndarray, east: np.ndarray, known: np.ndarray, stated: np.ndarray, zones: list[str]
) -> pa.Array:
    """Return instants from local microseconds and, where stated, their offset from UTC.

    Args:
        local: Microseconds since 1970 on the sender's clock.
        east: Microseconds east of UTC.
        known: Whether there is a moment at all.
        stated: Whether the offset is stated.
        zones: Time zone of each row in which it is read otherwise.
    """
    utc = local - east
    for zone in set(zones):
        rows = np.flatnonzero(known & ~stated & np.array([z == zone for z in zones], bool))
        if len(rows):
            naive = pa.array(local[rows], pa.int64()).cast(pa.timestamp("us"))
            placed = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="earliest")
            utc[rows] = placed.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return pa.array(utc, pa.int64(), mask=~known).cast(pa.timestamp("us", tz="UTC"))


def _converted(convert: Convert, element: tuple[bytes, Any]) -> Any:
    try:
        return convert(*element)
    except ValueError:
        return _BAD


def _hour(vr: bytes, value: Any) -> int | None:
    found = text(vr, value)
    return None if found is None else microseconds(found) // _HOUR


def _hour_of_datetime(vr: bytes, value: Any) -> int | None:
    found = text(vr, value)
    return None if found is None or len(found) < 10 else datetime(found)[0] // _HOUR % 24


def _day(vr: bytes, value: Any) -> int | None:
    found = text(vr, value)
    return None if found is None else day(found)


def _age(vr: bytes, value: Any) -> int | None:
    found = text(vr, value)
    return None if found is None else age_years(found)


def _datetime(vr: bytes, value: Any) -> tuple[int, int | None] | None:
    found = text(vr, value)
    return None if found is None else datetime(found)


def _offset(vr: bytes, value: Any) -> int | None:
    found = text(vr, value)
    return None if found is None else offset(found)


def _converter(feed: Feed) -> Convert:
    """Return the conversion that a ``value`` feed asks for."""
    options = feed.options
    part = int(options.get("part", 0))
    if options.get("present"):
        return lambda vr, value: not empty(value)
    if options.get("length"):
        return lambda vr, value: len(text(vr, value) or "") or None
    if options.get("join"):
        return lambda vr, value: _joined(feed.rule, parts(vr, value))
    if "values" in options:
        listed = options["values"]
        return lambda vr, value: listed.get(text(vr, value, part))
    if "names" in options:
        table = names(options["names"])
        otherwise = "local" if options["names"] == "coding_schemes" else None
        return lambda vr, value: table.get(text(vr, value, part) or "", otherwise)
    if pa.types.is_floating(feed.type):
        return lambda vr, value: number(vr, value, part)
    if pa.types.is_integer(feed.type):
        limit = 1 << (feed.type.bit_width - 1)

        def whole(vr: bytes, value: Any) -> int | None:
            found = integer(vr, value, part)
            if found is not None and not -limit <= found < limit:
                raise ValueError
            return found

        return whole
    if feed.rule is None:
        return lambda vr, value: text(vr, value, part)

    def known(vr: bytes, value: Any) -> Any:
        found = text(vr, value, part)
        return found if found is None or is_allowed(feed.rule, found) else _UNKNOWN

    return known


def _joined(rule: str | None, values: Sequence[Any]) -> Any:
    """Return all values with a backslash between, empty where one could not be a code."""
    found = [str(value) for value in values]
    kept = [value if is_allowed(rule, value) else "" for value in found]
    return "\\".join(kept) or None if any(kept) or not any(found) else _UNKNOWN


def tables(records: Sequence[Record], batch: RawBatch) -> None:
    """Add to a batch the rows that mappings describe, and a warning for each unreadable value."""
    columns = Columns(records)
    for mapping in mappings():
        batch.tables[mapping.table] = _table(mapping, columns)
    for row, n_dropped in columns.unknown.items():
        by_file = batch.dropped_by_file.setdefault(records[row].source.file_id, Counter())
        by_file["dicom.terms"] += n_dropped
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


def _table(mapping: TableMapping, columns: Columns) -> pa.Table:
    stated: dict[str, list[Any]] = {}
    made = {f.column: columns.column(f, stated) for f in mapping.feeds}
    if "age_years" in made:  # as stated, only where no birth date gives a better one
        known = pa.array([b is not None for b in stated["birth"]], pa.bool_())
        made["age_years"] = pc.if_else(known, pa.scalar(None, pa.int32()), made["age_years"])
    records = columns.records
    schema = load_tables()[mapping.table].schema
    made["record_id"] = pa.array([r.record_id for r in records], pa.string())
    if mapping.table == "records":
        made |= {
            "file_id": pa.array([r.source.file_id for r in records], pa.string()),
            "format": pa.array(["dicom"] * len(records), pa.string()),
            "n_segments": pa.array([r.n_elements for r in records], pa.int32()),
            "n_unmapped": pa.array([r.n_elements - r.n_mapped for r in records], pa.int32()),
            "ordinal": pa.array([r.ordinal for r in records], pa.int64()),
        }
    else:
        made["ordinal"] = pa.array([0] * len(records), pa.int32())
    if "file_size" in schema.names:
        made["file_size"] = pa.array([r.file_size for r in records], pa.int64())
    return pa.table(made)

"""Builds the raw rows of one mapping: one row for each of its segments in the messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrays import map_distinct
from lakehouse.batch import BIRTH_DATE
from lakehouse.formats.hl7v2.datatypes.fields import Fields
from lakehouse.formats.hl7v2.datatypes.observation_value import range_end, varies
from lakehouse.formats.hl7v2.datatypes.paths import PREVIOUS, Path
from lakehouse.formats.hl7v2.encoding.buffers import Bools, Ints
from lakehouse.formats.hl7v2.mapping import SegmentMapping
from lakehouse.formats.mapping.build import build_coded, build_column, meets
from lakehouse.formats.mapping.mapping_file import ColumnMapping, Conversion

_BIRTH = Path("PID", 7)


@dataclass
class Rows:
    """The rows of one mapping.

    Attributes:
        table: Name of the table.
        message: Per row, the position of its message.
        segment: Per row, the position of its anchor segment.
        columns: Raw columns.
    """

    table: str
    message: Ints
    segment: Ints
    columns: dict[str, pa.Array]


class RowBuilder:
    """Builds the rows of one mapping over one buffer."""

    def __init__(self, fields: Fields, mapping: SegmentMapping) -> None:
        self.fields = fields
        self.mapping = mapping
        self.tokens = fields.tokens
        self.anchors = fields.segments(mapping.segment)
        self._places: dict[str, pa.Array | None] = {}

    def build(self) -> Rows | None:
        """Return the rows, or None where the buffer has none."""
        if not len(self.anchors):
            return None
        if self.mapping.only is not None:
            self._keep(meets(self.mapping.only, self))
        for segment in self.mapping.needs:
            place = self._place(segment)
            if place is not None:
                self._keep(pc.is_valid(place).to_numpy(zero_copy_only=False))
        if not len(self.anchors):
            return None
        columns: dict[str, pa.Array] = {}
        cleared: dict[str, Bools] = {}
        for entry in self.mapping.columns:
            columns |= self._fill(entry)
            if self.tokens.has_null and "cleared" in self.mapping.table.columns and entry.paths:
                mask = self._explicit_nulls(entry)
                if mask.any():
                    cleared[entry.column] = mask
        if cleared:
            columns["cleared"] = _names(cleared, len(self.anchors))
        if "patient_id" in self.mapping.table.columns and len(self.fields.segments("PID")):
            columns[BIRTH_DATE] = self._take(_BIRTH, self.fields.times(_BIRTH).dates)
        return Rows(
            self.mapping.table.name, self.tokens.message[self.anchors], self.anchors, columns
        )

    def _keep(self, rows: Bools) -> None:
        self.anchors = self.anchors[rows]
        self._places.clear()

    def _fill(self, mapping: ColumnMapping[Path]) -> dict[str, pa.Array]:
        """Return the columns that one entry of the mapping fills."""
        if mapping.kind == "varies":
            (path,) = mapping.paths
            return {k: self._take(path, v) for k, v in varies(self.fields, path).items()}
        if mapping.kind == "coded":
            return build_coded(mapping, self.mapping.table, self)
        column = build_column(mapping, self)
        return {} if column is None else {mapping.column: column}

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.anchors)

    def value(self, path: Path, conversion: Conversion, found: pa.Array | None) -> pa.Array | None:
        """Return the values at a path, one a row; None where no message has the segment."""
        is_part = conversion.kind.startswith("coding.")
        if not (is_part or path.tag in self.mapping.after or len(self.fields.segments(path.tag))):
            return None
        return self._take(path, self._convert(conversion, path.in_own_segment))

    def _convert(self, conversion: Conversion, path: Path) -> pa.Array:
        """Return the value per segment of the path's own id."""
        fields, kind = self.fields, conversion.kind
        if kind == "bool":
            return pc.equal(fields.code(path, conversion.codes or "hl7_0136"), "true")
        if conversion.codes:
            return fields.code(path, conversion.codes, conversion.otherwise)
        if kind.startswith("coding."):
            return getattr(fields.coded(path), kind.removeprefix("coding."))
        if kind in ("CX", "EI", "EIP", "XCN", "HD", "id"):
            return fields.identifier(path, kind)
        if kind == "time":
            return fields.times(path).instants
        if kind == "date":
            return fields.times(path).dates
        if kind == "year":
            return pc.year(fields.times(path).dates).cast(pa.int32())
        if kind == "hour":
            return fields.times(path).hours
        if kind == "number":
            return fields.number(path)
        if kind == "int":
            return fields.integer(path)
        text, _ = fields.text(path)
        if kind in ("range-low", "range-high"):
            return range_end(text, 0 if kind == "range-low" else 1)
        if kind == "sub-id":  # a number or a dotted path; anything else may be text
            return pc.if_else(pc.match_substring_regex(text, r"^[0-9.]{1,12}$"), text, None)
        if kind == "event":
            return map_distinct(text, _event, pa.string())
        if kind == "message-type":
            event, _ = fields.text(Path(path.segment, path.field, 2))
            both = pc.binary_join_element_wise(text, event, "^", null_handling="emit_null")
            return map_distinct(pc.coalesce(both, text), _message_type, pa.string())
        return text

    def _explicit_nulls(self, mapping: ColumnMapping[Path]) -> Bools:
        """Return the rows where the preferred place holds the explicit null."""
        path = mapping.paths[0].in_own_segment
        if not len(self.fields.segments(path.segment)):
            return np.zeros(len(self.anchors), dtype=bool)
        mask = self.fields.explicit_nulls(Path(path.segment, path.field, 1))
        if not mask.any():
            return np.zeros(len(self.anchors), dtype=bool)
        of_rows = self._take(mapping.paths[0], pa.array(mask))
        rows: Bools = pc.fill_null(of_rows, False).to_numpy(zero_copy_only=False)
        return rows

    def _take(self, path: Path, values: pa.Array) -> pa.Array:
        """Bring a column of one segment id to the rows."""
        index = self._place(path.segment)
        return values if index is None else pc.take(values, index)

    def _place(self, segment: str) -> pa.Array | None:
        """Return, per row, which segment of this id governs it (null: none; None: its own)."""
        if segment not in self._places:
            self._places[segment] = self._find(segment)
        return self._places[segment]

    def _find(self, segment: str) -> pa.Array | None:
        own = self.mapping.segment
        others = self.fields.segments(segment.removeprefix(PREVIOUS))
        if segment == own:
            if len(others) == len(self.anchors):
                return None
            return pa.array(np.searchsorted(others, self.anchors))
        if segment in self.mapping.after:
            index, valid = self._behind(others, self.mapping.after[segment])
        else:
            index, valid = self._before(others)
            if segment not in ("MSH", "EVN", "PID", PREVIOUS + own):
                index, valid = self._within_patient(others, index, valid)
        if not len(others):
            return pa.nulls(len(self.anchors), pa.int64())
        if valid.all() and len(index) == len(others) and (np.diff(index) == 1).all():
            return None
        return pa.array(index, mask=~valid)

    def _before(self, others: Ints) -> tuple[Ints, Bools]:
        """Return the nearest segment before each row, in the same message."""
        index = np.searchsorted(others, self.anchors, side="left").astype(np.int32) - 1
        first = self.tokens.first_segment[self.tokens.message[self.anchors]]
        valid = (
            (index >= 0) & (others[np.maximum(index, 0)] >= first)
            if len(others)
            else (np.zeros(len(index), dtype=bool))
        )
        return index, valid

    def _within_patient(self, others: Ints, index: Ints, valid: Bools) -> tuple[Ints, Bools]:
        """Drop segments that stand before the row's PID: they belong to another patient."""
        patients = self.fields.segments("PID")
        if len(patients) and len(others):
            pid, has_pid = self._before(patients)
            behind = others[np.maximum(index, 0)] > patients[np.maximum(pid, 0)]
            valid = valid & (~has_pid | behind)
        return index, valid

    def _behind(self, others: Ints, stops: Iterable[str]) -> tuple[Ints, Bools]:
        """Return the first segment behind each row, before a stop and in the same message."""
        index = np.searchsorted(others, self.anchors, side="right").astype(np.int32)
        ends = np.append(self.tokens.first_segment[1:], len(self.tokens.tags))
        limit = ends[self.tokens.message[self.anchors]]
        for stop in stops:
            places = np.append(self.fields.segments(stop), len(self.tokens.tags))
            following = places[np.searchsorted(places[:-1], self.anchors, side="right")]
            limit = np.minimum(limit, following)
        if not len(others):
            return index, np.zeros(len(index), dtype=bool)
        clipped = np.minimum(index, len(others) - 1)
        return clipped, (index < len(others)) & (others[clipped] < limit)


# HL7 v2.9 tables 0076 and 0003. New ones appear, so the shape decides; what has another shape may
# be anything that a sender put into the wrong field, and both stand in the open, in rejects too.
_TYPE = re.compile(r"[A-Z]{3}")
_EVENT = re.compile(r"[A-Z][A-Z0-9]{2}")
OTHER = "other"


def _event(text: str) -> str:
    return text.upper() if _EVENT.fullmatch(text.upper()) else OTHER


def _message_type(text: str) -> str:
    kind, _, event = text.upper().partition("^")
    if not _TYPE.fullmatch(kind):
        return OTHER
    return f"{kind}^{event}" if _EVENT.fullmatch(event) else kind


def _names(masks: dict[str, Bools], n: int) -> pa.Array:
    """Return, per row, the names whose mask is set, with commas between; null for none."""
    bits = np.zeros(n, dtype=np.int64)
    names = list(masks)[:62]
    for place, name in enumerate(names):
        bits |= masks[name].astype(np.int64) << place
    text = map_distinct(
        pa.array(bits.astype("U20"), pa.string()),
        lambda v: ",".join(name for place, name in enumerate(names) if int(v) >> place & 1) or None,
        pa.string(),
    )
    return text

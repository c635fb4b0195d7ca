"""Fields converted by data type, one value per segment, cached for all tables that need them.

Every method works on all segments of one id at a time and returns a column with one value per
such segment. Values that are there but cannot be read are noted as findings, by place, never by
value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrays import map_distinct
from lakehouse.formats.binding.codings import Coded, Coding, choose_coding, system_of
from lakehouse.formats.hl7v2.datatypes.paths import Path
from lakehouse.formats.hl7v2.datatypes.text import (
    explicit_null,
    look_up,
    numbers,
    strings,
)
from lakehouse.formats.hl7v2.datatypes.times import Times, times
from lakehouse.formats.hl7v2.encoding.buffers import Bools, Ints
from lakehouse.formats.hl7v2.encoding.tokens import Ranges, Tokens, tag_code
from lakehouse.formats.mapping.code_sets import code_set
from lakehouse.identifiers import qualified

_OFFICIAL = re.compile(r"hl7_\d{4}")
_MOST_REPETITIONS = 32  # a PID-3 with more is a sender's loop; the first ones are looked at


@dataclass(frozen=True)
class Finding:
    """Messages in which one rule found one place at fault."""

    rule: str
    location: str
    message: str
    messages: Ints
    level: str = "warning"


class Fields:
    """Cached conversions over one buffer.

    Args:
        tokens: The tokenised buffer.
        time_zone: Zone of times without an offset.
        authority: Assigning authority of record numbers that state none.
    """

    def __init__(self, tokens: Tokens, time_zone: str, authority: str) -> None:
        self.tokens = tokens
        self.time_zone = time_zone
        self.authority = authority
        self.findings: list[Finding] = []
        self._cache: dict[tuple[str, Path], Any] = {}

    def segments(self, tag: str) -> Ints:
        """Return the positions of all segments of one id."""
        return self.tokens.of_tag.get(tag_code(tag), _NONE)

    def once(self, kind: str, path: Path, make: Callable[[], Any]) -> Any:
        """Return a cached conversion."""
        key = (kind, path)
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    def ranges(self, path: Path) -> Ranges:
        """Return where a path stands; the first repetition, unless it is a whole field."""
        ranges = self.tokens.field(tag_code(path.segment), path.field)
        ranges = self.tokens.repetition(ranges)
        if path.component:
            ranges = self.tokens.component(ranges, path.component)
        # a value without sub-components is its own first one (HL7 v2.9 ch. 2.5.3.3)
        return self.tokens.subcomponent(ranges, path.subcomponent or 1)

    def text(self, path: Path) -> tuple[pa.Array, Bools]:
        """Return the text at a path (its first component where none is named)."""

        def make() -> tuple[pa.Array, Bools]:
            return strings(self.tokens, self.ranges(path.first_component))

        result: tuple[pa.Array, Bools] = self.once("text", path.first_component, make)
        return result

    def explicit_nulls(self, path: Path) -> Bools:
        """Return which segments hold the explicit null at a path; its text is not copied out."""

        def make() -> Bools:
            return explicit_null(self.tokens, *self.tokens.span(self.ranges(path)))

        result: Bools = self.once("cleared", path, make)
        return result

    def number(self, path: Path) -> pa.Array:
        """Return NM values."""

        def make() -> pa.Array:
            text, _ = self.text(path)
            values = numbers(text)
            self.note("hl7v2.nm.invalid", path, "Not a number.", _lost(text, values))
            return values

        return self.once("number", path, make)

    def integer(self, path: Path) -> pa.Array:
        """Return whole numbers; a fraction gives null."""
        values = self.number(path)
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2**31))
        return pc.if_else(whole, values, None).cast(pa.int32())

    def times(self, path: Path) -> Times:
        """Return TS, DTM or DT values."""

        def make() -> Times:
            result = times(self.tokens, self.ranges(path.first_component), self.time_zone)
            self.note(
                "hl7v2.time.invalid", path, "Not a time of the form YYYYMMDDHHMMSS.", result.faulty
            )
            self.note(
                "hl7v2.time.partial", path, "A year or month where a day is needed.", result.partial
            )
            return result

        result: Times = self.once("time", path, make)
        return result

    def code(self, path: Path, codes: str, other: str | None = None) -> pa.Array:
        """Return the translation of a table-bound code; ``other`` where the table lacks it."""

        def make() -> pa.Array:
            text, _ = self.text(path)
            values = look_up(text, code_set(codes), other)
            if _OFFICIAL.fullmatch(codes):  # our own lists are not the sender's fault
                table = codes.removeprefix("hl7_")
                self.note(
                    f"hl7v2.table-{table}",
                    path,
                    f"Not a code of HL7 table {table}.",
                    _lost(text, values),
                )
            return values

        return self.once(f"{codes} {other}", path, make)

    def coded(self, path: Path) -> Coded:
        """Return a coded element; of two codings, the one in a public system comes first."""
        result: Coded = self.once(
            "coded",
            path,
            lambda: self.coded_at(
                self.tokens.repetition(self.tokens.field(tag_code(path.segment), path.field))
            ),
        )
        return result

    def coded_at(self, whole: Ranges) -> Coded:
        """Return the coded elements that stand in these ranges (CWE, HL7 v2.9 ch. 2A.3.14)."""
        t = self.tokens
        part = [
            None,
            *(strings(t, t.subcomponent(t.component(whole, n), 1))[0] for n in range(1, 7)),
        ]
        own, other = (map_distinct(part[n], system_of) for n in (3, 6))
        return choose_coding(Coding(part[1], own, part[2]), Coding(part[4], other, part[5]))

    def identifier(self, path: Path, kind: str) -> pa.Array:
        """Return identifiers in raw (qualified) form: CX, EI, EIP, XCN, HD or a bare ``id``."""
        return self.once(kind, path, lambda: _IDENTIFIERS[kind](self, path))

    def _whole(self, path: Path) -> Ranges:
        return self.tokens.repetition(self.tokens.field(tag_code(path.segment), path.field))

    def _piece(self, whole: Ranges, component: int, subcomponent: int = 1) -> pa.Array:
        part = self.tokens.component(whole, component)
        return strings(self.tokens, self.tokens.subcomponent(part, subcomponent))[0]

    def _authority(self, whole: Ranges, component: int, default: str = "") -> pa.Array:
        """Return an assigning authority (HD): its name, else its universal id."""
        name = self._piece(whole, component)
        if name.null_count:
            name = pc.coalesce(name, self._piece(whole, component, 2))
        return pc.fill_null(name, default) if default else name

    def _cx(self, path: Path) -> pa.Array:
        whole = self._record_number(path)
        return qualified(self._authority(whole, 4, self.authority), self._piece(whole, 1))

    def _record_number(self, path: Path) -> Ranges:
        """Return, of several repetitions, the record number (type MR, else PI, else none)."""
        t = self.tokens
        field = t.field(tag_code(path.segment), path.field)
        best, count = t.repetition(field), t.repetitions(field)
        several = np.flatnonzero(count > 1)
        if not len(several):
            return best
        some = Ranges(field.js[several], field.je[several])
        js, je = best.js.copy(), best.je.copy()
        best_rank = np.full(len(several), 99)
        for n in range(1, min(int(count.max()), _MOST_REPETITIONS) + 1):
            candidate = t.repetition(some, n)
            kind = self._piece(candidate, 5)
            rank = map_distinct(kind, lambda v: _TYPE_RANK.get(v.upper(), 3), pa.int64())
            ranks = rank.fill_null(2).to_numpy(zero_copy_only=False)
            present = pc.is_valid(self._piece(candidate, 1)).to_numpy(zero_copy_only=False)
            better = present & (ranks < best_rank)
            best_rank = np.where(better, ranks, best_rank)
            js[several[better]] = candidate.js[better]
            je[several[better]] = candidate.je[better]
        return Ranges(js, je)

    def _ei(self, path: Path) -> pa.Array:
        whole = self._whole(path)
        return qualified(
            pc.coalesce(self._piece(whole, 2), self._piece(whole, 3)), self._piece(whole, 1)
        )

    def _eip(self, path: Path) -> pa.Array:
        whole = self._whole(path)
        filler = qualified(self._piece(whole, 2, 2), self._piece(whole, 2, 1))
        return pc.coalesce(filler, qualified(self._piece(whole, 1, 2), self._piece(whole, 1, 1)))

    def _xcn(self, path: Path) -> pa.Array:
        whole = self._whole(path)
        return qualified(self._authority(whole, 9), self._piece(whole, 1))

    def _hd(self, path: Path) -> pa.Array:
        whole = self._whole(path)
        name = self._piece(whole, 1)
        return qualified("", pc.coalesce(name, self._piece(whole, 2)) if name.null_count else name)

    def _id(self, path: Path) -> pa.Array:
        return qualified("", self.text(path)[0])

    def note(self, rule: str, path: Path, message: str, where: Bools) -> None:
        """Note a finding about some of the segments of the path's id."""
        if where.any():
            segments = self.segments(path.segment)[where]
            self.findings.append(Finding(rule, str(path), message, self.tokens.message[segments]))


_IDENTIFIERS: dict[str, Callable[[Fields, Path], pa.Array]] = {
    "CX": Fields._cx,
    "EI": Fields._ei,
    "EIP": Fields._eip,
    "XCN": Fields._xcn,
    "HD": Fields._hd,
    "id": Fields._id,
}

# HL7 table 0203: what makes a repetition of PID-3 a record number, and what does not
_TYPE_RANK = {"MR": 0, "MRN": 0, "PI": 1, "PT": 1, "U": 3} | dict.fromkeys(
    ("SS", "SSN", "DL", "NI", "PPN", "AN", "VN", "BC", "CZ", "MC", "MA", "WC", "NH", "NP"), 9
)

_NONE = np.zeros(0, dtype=np.int32)


def _lost(before: pa.Array, after: pa.Array) -> Bools:
    """Return where a value was there and is no longer."""
    lost = pc.and_(pc.is_valid(before), pc.is_null(after))
    result: Bools = lost.to_numpy(zero_copy_only=False)
    return result

"""OBX-5, whose type OBX-2 names, and OBX-7, the reference range (HL7 v2.9 ch. 7.4.2)."""

from __future__ import annotations

import re
from functools import reduce
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrays import map_distinct
from lakehouse.formats.hl7v2.datatypes.fields import Fields
from lakehouse.formats.hl7v2.datatypes.paths import Path
from lakehouse.formats.hl7v2.datatypes.text import number_parts, strings
from lakehouse.formats.hl7v2.datatypes.times import Times, times
from lakehouse.formats.hl7v2.encoding.buffers import Bools
from lakehouse.formats.hl7v2.encoding.tokens import Ranges, tag_code

_TYPE, _UNIT = Path("OBX", 2), Path("OBX", 6, 1)
_CODED = ("CE", "CWE", "CNE", "CF", "IS", "ID")
_TIMES = ("TS", "DTM", "DT")
_SEPARATORS = ("-", "+", "/", ":", ".")
_TEXT_NUMBER = re.compile(r"(?:[<>]=?\s*)?[+-]?\d{0,6}(?:\.\d{1,6})?")


def varies(fields: Fields, path: Path) -> dict[str, pa.Array]:
    """Return the value columns of OBX-5, one value per OBX.

    NM and SN give numbers; CE, CWE, CNE, IS and ID codes; TS, DTM and DT times. An ST is taken
    only where it is a short number and OBX-6 gives a unit, as many laboratories send; every other
    text is not read at all.
    """
    t = fields.tokens
    kinds, _ = fields.text(_TYPE)
    kinds = pc.utf8_upper(kinds)
    whole = t.repetition(t.field(tag_code(path.segment), path.field))
    columns = {"value_type": kinds}
    columns |= _numeric(fields, path, kinds, whole)
    coded = fields.coded_at(_where(whole, _among(kinds, _CODED)))
    # text in place of a code: no coding system and blanks in it
    text = pc.and_(pc.is_null(coded.system), pc.match_substring(coded.code, " "))
    columns["value_code"] = pc.if_else(pc.fill_null(text, False), None, coded.code)
    columns["value_code_system"] = coded.system
    columns["value_code_display"] = coded.display
    instants = times(t, _where(t.component(whole, 1), _among(kinds, _TIMES)), fields.time_zone)
    columns["value_at"] = instants.instants
    _note_type_faults(fields, path, kinds, instants)
    return columns


def _note_type_faults(fields: Fields, path: Path, kinds: pa.Array, instants: Times) -> None:
    """Note values that are no time under TS, DTM or DT, and values without a type."""
    fields.note("hl7v2.time.invalid", path, "OBX-2 says a time and OBX-5 is none.", instants.faulty)
    fields.note(
        "hl7v2.time.partial", path, "A year or month where a day is needed.", instants.partial
    )
    if kinds.null_count:  # OBX-2 must be valued where OBX-5 is (HL7 v2.9 ch. 7.4.2.2)
        _, length = fields.tokens.span(fields.tokens.field(tag_code(path.segment), path.field))
        untyped = kinds.is_null().to_numpy(zero_copy_only=False) & (length > 0)
        fields.note(
            "hl7v2.obx.type-required",
            Path("OBX", 2),
            "A value without its type is not read.",
            untyped,
        )


def _numeric(fields: Fields, path: Path, kinds: pa.Array, whole: Ranges) -> dict[str, pa.Array]:
    """Return value_number, comparator, value_high and value_separator."""
    t = fields.tokens
    is_nm, is_st = _among(kinds, ("NM",)), _among(kinds, ("ST",))
    plain, _ = strings(t, _where(t.component(whole, 1), is_nm | is_st))
    if is_st.any():
        with_unit = pc.is_valid(fields.text(_UNIT)[0])
        short = map_distinct(plain, lambda v: bool(_TEXT_NUMBER.fullmatch(v)), pa.bool_())
        plain = pc.if_else(pc.or_(pa.array(is_nm), pc.and_(with_unit, short)), plain, None)
    number = map_distinct(plain, lambda v: (number_parts(v) or (None, None))[1], pa.float64())
    bound = map_distinct(plain, lambda v: (number_parts(v) or (None, None))[0], pa.string())
    bad = is_nm & pc.and_(pc.is_valid(plain), pc.is_null(number)).to_numpy(zero_copy_only=False)
    fields.note("hl7v2.obx.nm-not-numeric", path, "OBX-2 says NM and OBX-5 is not a number.", bad)
    high = pa.nulls(len(number), pa.float64())
    separator = pa.nulls(len(number), pa.string())
    is_sn = _among(kinds, ("SN",))
    if is_sn.any():
        parts = [strings(t, _where(t.component(whole, n), is_sn))[0] for n in (1, 2, 3, 4)]
        number = pc.coalesce(number, _number(parts[1]))
        bound = pc.coalesce(bound, _one_of(parts[0], ("<", "<=", ">", ">=")))
        separator = _one_of(parts[2], _SEPARATORS)
        high = _number(parts[3])
        fields.note(
            "hl7v2.obx.sn-invalid", path, _SN_FAULT, _unread_sn(parts, number, high) & is_sn
        )
    return {
        "value_number": number,
        "comparator": bound,
        "value_high": high,
        "value_separator": separator,
    }


_SN_FAULT = "OBX-2 says SN and OBX-5 is no comparator, number, separator, number."


def _unread_sn(parts: list[pa.Array], number: pa.Array, high: pa.Array) -> Bools:
    """Return which SN values hold something that is not read (HL7 v2.9 ch. 2A.3.65)."""
    comparators = pa.array(["<", "<=", ">", ">=", "=", "<>"])
    lost = [
        pc.and_(pc.is_valid(part), pc.is_null(read))
        for part, read in ((parts[1], number), (parts[3], high))
    ]
    lost.append(pc.and_(pc.is_valid(parts[0]), pc.invert(pc.is_in(parts[0], comparators))))
    lost.append(pc.and_(pc.is_valid(parts[2]), pc.is_null(_one_of(parts[2], _SEPARATORS))))
    unread: Bools = reduce(pc.or_, lost).to_numpy(zero_copy_only=False)
    return unread


def _number(column: pa.Array) -> pa.Array:
    return map_distinct(column, lambda v: (number_parts(v) or (None, None))[1], pa.float64())


def _one_of(column: pa.Array, allowed: tuple[str, ...]) -> pa.Array:
    return map_distinct(column, lambda v: v if v in allowed else None, pa.string())


def _among(kinds: pa.Array, names: tuple[str, ...]) -> Bools:
    found: Bools = pc.is_in(kinds, pa.array(names)).to_numpy(zero_copy_only=False)
    return found


def _where(ranges: Ranges, mask: Bools) -> Ranges:
    """Return the ranges with nothing in them where the mask is false."""
    if ranges.nowhere or not mask.any():
        return Ranges(ranges.js, ranges.js)
    return Ranges(ranges.js, np.where(mask, ranges.je, ranges.js))


_N = r"([+-]?(?:\d+\.?\d*|\.\d+))"
_BETWEEN = re.compile(rf"{_N}\s*(?:-|–|to|\.\.)\s*{_N}\b.*")
_BELOW = re.compile(rf"(?:<=?|less than|up to)\s*{_N}\b.*", re.IGNORECASE)
_ABOVE = re.compile(rf"(?:>=?|greater than)\s*{_N}\b.*", re.IGNORECASE)


def reference_range(text: str) -> tuple[float | None, float | None]:
    """Return the lower and upper end of OBX-7; None for what it does not say.

    Examples:
        >>> reference_range("70 - 110 mg/dL"), reference_range("<5.0"), reference_range("negative")
        ((70.0, 110.0), (None, 5.0), (None, None))
    """
    text = text.strip()
    if match := _BETWEEN.match(text):
        return float(match[1]), float(match[2])
    if match := _BELOW.match(text):
        return None, float(match[1])
    if match := _ABOVE.match(text):
        return float(match[1]), None
    return None, None


def range_end(column: pa.Array, end: int) -> pa.Array:
    """Return one end (0 low, 1 high) of each reference range."""

    def pick(text: str) -> float | None:
        bound = reference_range(text)[end]
        return bound if bound is not None and isfinite(bound) else None

    return map_distinct(column, pick, pa.float64())

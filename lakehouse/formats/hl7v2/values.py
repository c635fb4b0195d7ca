"""OBX-5, whose type OBX-2 names, and OBX-7, the reference range (HL7 v2.9 ch. 7.4.2)."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.formats.hl7v2.columns import map_distinct, number_parts, strings
from lakehouse.formats.hl7v2.fields import Fields, Finding
from lakehouse.formats.hl7v2.mapping import Path
from lakehouse.formats.hl7v2.times import times
from lakehouse.formats.hl7v2.tokens import Bools, Ranges, tag_code

_TYPE, _UNIT = Path("OBX", 2), Path("OBX", 6, 1)
_CODED = ("CE", "CWE", "CNE", "CF", "IS", "ID")
_TIMES = ("TS", "DTM", "DT")
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
    return columns


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
    if bad.any():
        fields.findings.append(
            Finding(
                "hl7v2.obx.nm-not-numeric",
                str(path),
                "OBX-2 says NM and OBX-5 is not a number.",
                t.message[fields.segments("OBX")[bad]],
            )
        )
    high = pa.nulls(len(number), pa.float64())
    separator = pa.nulls(len(number), pa.string())
    is_sn = _among(kinds, ("SN",))
    if is_sn.any():
        parts = [strings(t, _where(t.component(whole, n), is_sn))[0] for n in (1, 2, 3, 4)]
        number = pc.coalesce(number, _number(parts[1]))
        bound = pc.coalesce(bound, _closed(parts[0], ("<", "<=", ">", ">=")))
        separator = _closed(parts[2], ("-", "+", "/", ":", "."))
        high = _number(parts[3])
    return {
        "value_number": number,
        "comparator": bound,
        "value_high": high,
        "value_separator": separator,
    }


def _number(column: pa.Array) -> pa.Array:
    return map_distinct(column, lambda v: (number_parts(v) or (None, None))[1], pa.float64())


def _closed(column: pa.Array, allowed: tuple[str, ...]) -> pa.Array:
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
    pick: Callable[[str], float | None] = lambda text: reference_range(text)[end]  # noqa: E731
    return map_distinct(column, pick, pa.float64())

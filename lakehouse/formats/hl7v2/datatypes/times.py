"""HL7 times: TS, DTM, DT of any precision, with fraction and offset, a column at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.formats.binding.instants import UTC, instants
from lakehouse.formats.hl7v2.datatypes.text import explicit_null
from lakehouse.formats.hl7v2.encoding.buffers import Bools, Bytes, Ints, stretches
from lakehouse.formats.hl7v2.encoding.tokens import Ranges, Tokens

Places: TypeAlias = npt.NDArray[np.int64]

_MOST_DIGITS = 14  # YYYYMMDDHHMMSS
_ONE, _BYTE, _LOW = np.uint64(1), np.uint64(8), np.uint64(0xFF)
_ZEROS = np.uint64(0x3030303030303030)
_SEVEN_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_OVER_NINE = np.uint64(0x7676767676767676)  # carries 10 and more into the high bit
_HIGH_BITS = np.uint64(0x8080808080808080)
_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], dtype=np.int64)
_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
DAY = 8
"""Digits of a time that is precise to the day (YYYYMMDD)."""


@dataclass(frozen=True)
class Times:
    """Times of one column (HL7 v2.9 ch. 2A.3.22: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]).

    Attributes:
        instants: timestamp[us, UTC]; null where absent, unreadable or coarser than a day.
        dates: date32 as written; months and years give their first day.
        hours: Hour of day as written, int32; null where the time does not say.
        faulty: Present but not a time.
        partial: A year or a month, no day.
        cleared: The explicit null ``""``.
    """

    instants: pa.Array
    dates: pa.Array
    hours: pa.Array
    faulty: Bools
    partial: Bools
    cleared: Bools


def times(tokens: Tokens, ranges: Ranges, time_zone: str) -> Times:
    """Read times; one without an offset is read in ``time_zone`` (an IANA name)."""
    if ranges.nowhere:
        return _no_times(len(ranges.js))
    start, length = tokens.span(ranges)
    buffer = tokens.buffer
    cleared = explicit_null(tokens, start, length)
    present = (length > 0) & ~cleared
    count, (century, years, month, day, hour, minute, second) = _digits(buffer, start, length)
    year = century * 100 + years
    month = np.where(count >= 6, month, 1)
    day = np.where(count >= DAY, day, 1)
    leap = (year & 3 == 0) & ((years != 0) | (century & 3 == 0))
    in_month = (month >= 1) & (month <= 12)
    month_index = np.where(in_month, month, 1) - 1
    longest = _MONTH_DAYS[month_index] + (leap & (month_index == 1))
    good = (
        present
        & (count >= 4)
        & (count % 2 == 0)
        & (year >= 1)
        & in_month
        & (day >= 1)
        & (day <= longest)
        & (hour < 24)
        & (minute < 60)
        & (second < 61)
    )
    micros, offset, has_offset, tail_ok = _tail(buffer, start, length, count, good)
    good &= tail_ok
    days = _days(year, month_index, day, leap)
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + np.minimum(second, 59)
    partial = good & (count < DAY)
    exact = good & ~partial
    local = pa.array(seconds * 1_000_000 + micros, pa.int64(), mask=~exact)
    east = pa.array(offset, pa.int64(), mask=~has_offset) if has_offset.any() else None
    return Times(
        instants=instants(local, east, time_zone),
        dates=pa.array(days.astype(np.int32), pa.date32(), mask=~good),
        hours=pa.array(hour.astype(np.int32), mask=~(exact & (count >= 10))),
        faulty=present & ~good,
        partial=partial,
        cleared=cleared,
    )


def _digits(buffer: Bytes, start: Ints, length: Ints) -> tuple[Ints, list[Places]]:
    """Return how many digits each stretch begins with, up to 14, and those digits in twos.

    Eight characters are one integer here and every step works on all eight: a third of the time
    of a step for each place.
    """
    words = stretches(buffer, start, 16).view("<u8")
    first, second = words[:, 0] ^ _ZEROS, words[:, 1] ^ _ZEROS
    n_first = _leading(first)
    count = n_first + np.where(n_first == 8, _leading(second), 0)
    count = np.minimum(np.minimum(count, length), _MOST_DIGITS)
    parts = []
    for word, n in ((first, np.minimum(count, 8)), (second, np.maximum(count - 8, 0))):
        # a shift by 64 gives 0, and so all eight stay
        word = word & ((_ONE << (n.astype(np.uint64) * _BYTE)) - _ONE)
        twos = word * np.uint64(10) + (word >> _BYTE)
        parts += [(twos >> np.uint64(bits) & _LOW).astype(np.int64) for bits in (0, 16, 32, 48)]
    return count, parts[:7]


def _leading(word: npt.NDArray[np.uint64]) -> Ints:
    """Return how many bytes from the first on are digits, where a digit is its own value."""
    other = (((word & _SEVEN_BITS) + _OVER_NINE) | word) & _HIGH_BITS
    below = (other & (~other + _ONE)) - _ONE  # the bits below the lowest that is set
    return (np.bitwise_count(below) >> 3).astype(np.int32)


def _no_times(n: int) -> Times:
    none = np.zeros(n, dtype=bool)
    return Times(
        pa.nulls(n, UTC),
        pa.nulls(n, pa.date32()),
        pa.nulls(n, pa.int32()),
        none,
        none,
        none,
    )


def _days(
    year: npt.NDArray[np.int64],
    month_index: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    leap: Bools,
) -> npt.NDArray[np.int64]:
    """Return days since 1970-01-01 in the proleptic Gregorian calendar."""
    past = year - 1
    of_years = past * 365 + past // 4 - past // 100 + past // 400 - 719_162
    return of_years + _DAYS_BEFORE[month_index] + (leap & (month_index > 1)) + day - 1


def _tail(
    buffer: Bytes,
    start: Ints,
    length: Ints,
    count: Ints,
    good: Bools,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Bools, Bools]:
    """Read what follows the digits: a fraction of a second, an offset, or nothing."""
    n = len(start)
    micros, offset = np.zeros(n, np.int64), np.zeros(n, np.int64)
    has_offset, fine = np.zeros(n, bool), np.ones(n, bool)
    rows = np.flatnonzero(good & (length > count))
    if not len(rows):
        return micros, offset, has_offset, fine
    at, end = (start + count)[rows], (start + length)[rows]
    dotted = (buffer[at] == ord(".")) & (count[rows] == 14)
    scale = 100_000
    value = np.zeros(len(rows), np.int64)
    # YYYYMMDDHHMMSSmmm without the dot is no HL7 time, but widely sent
    running = dotted | ((count[rows] == 14) & (end - at == 3))
    at = at + dotted
    for _ in range(9):  # nanoseconds occur; digits after the sixth are passed over
        digit = buffer[at].astype(np.int64) - 48
        running = running & (at < end) & (digit >= 0) & (digit <= 9)
        value += np.where(running, digit * scale, 0)
        scale //= 10
        at = at + running
    micros[rows] = value
    sign = buffer[at]
    signed = (at < end) & ((sign == ord("+")) | (sign == ord("-"))) & (end - at == 5)
    parts = [buffer[at + i].astype(np.int64) - 48 for i in (1, 2, 3, 4)]
    zone_ok = np.all([(p >= 0) & (p <= 9) for p in parts], axis=0)
    minutes = (parts[0] * 10 + parts[1]) * 60 + parts[2] * 10 + parts[3]
    # UTC+14:00 is the furthest zone there is; -0000 is HL7's "unknown" and read as UTC
    signed &= zone_ok & (minutes <= 14 * 60) & (parts[2] * 10 + parts[3] < 60)
    offset[rows] = np.where(signed, np.where(sign == ord("-"), -minutes, minutes), 0)
    has_offset[rows] = signed
    fine[rows] = signed | (at == end)
    return micros, offset, has_offset, fine

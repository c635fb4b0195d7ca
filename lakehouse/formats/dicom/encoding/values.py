"""Decodes values by VR: text in its character set, numbers, dates and times, ages.

A value that is not what its VR promises raises ``ValueError`` without saying what it was; the
caller leaves the column null and notes a warning.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from struct import Struct
from typing import Any

Value = bytes | str | tuple[Any, ...] | list[Any]
"""Bytes as stored; text already decoded; the values of a JSON element; the items of one."""

TEXT = frozenset([b"SH", b"LO", b"ST", b"LT", b"UC", b"UT", b"PN"])
"""VRs that (0008,0005) speaks of."""

SINGLE = frozenset([b"ST", b"LT", b"UT", b"UR"])
"""VRs in which a backslash is no separator."""

_NUMBER = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"FL": "f", b"FD": "d"}
_NUMBER |= {b"UV": "Q", b"SV": "q"}
_STRUCT = {vr: Struct("<" + code) for vr, code in _NUMBER.items()}
_ESCAPE = re.compile(r"\x1b\$?[()\-.,]?[A-Z]")
_PADDING = " \0"
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_DATETIME = re.compile(
    r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?)?([+-]\d{4})?"
)
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_EPOCH = dt.date(1970, 1, 1).toordinal()
_DAY = 86_400_000_000
_MONTHS = {"D": 12 / 365.2425, "W": 84 / 365.2425, "M": 1.0, "Y": 12.0}


def decode(value: bytes, vr: bytes, character_set: Sequence[str]) -> str:
    """Return text in the character set that the object states (ISO 2022 included)."""
    import pydicom.charset as charset

    with quiet():
        encodings = charset.convert_encodings(list(character_set))
    delimiters = {"\r", "\n", "\t", "\f"} | (set() if vr in SINGLE else {"\\"})
    if vr == b"PN":
        delimiters |= {"^", "="}
    with quiet():
        text = str(charset.decode_bytes(value, encodings, {ord(d) for d in delimiters}))
    return _ESCAPE.sub("", text)  # some designations are decoded by, and left in


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log lines to themselves, for they quote values."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def parts(vr: bytes, value: Value) -> Sequence[Any]:
    r"""Return the single values of an element; text without its padding.

    Examples:
        >>> parts(b"CS", b"ORIGINAL\\PRIMARY ")
        ['ORIGINAL', 'PRIMARY']
        >>> parts(b"US", b"\x01\x00\x02\x00")
        [1, 2]
    """
    if isinstance(value, bytes):
        if vr in _STRUCT:
            unpack = _STRUCT[vr]
            whole = len(value) // unpack.size * unpack.size
            return [n for (n,) in unpack.iter_unpack(value[:whole])]
        value = value.decode("latin-1")
    if isinstance(value, str):
        if vr in SINGLE:
            return [value.strip(_PADDING)]
        return [part.strip(_PADDING) for part in value.split("\\")]
    return value


def text(vr: bytes, value: Value, part: int = 0) -> str | None:
    """Return one value as text; None when there is none."""
    found = parts(vr, value)
    if part >= len(found) or found[part] is None:
        return None
    return str(found[part]) or None


def number(vr: bytes, value: Value, part: int = 0) -> float | None:
    """Return one value as a finite number.

    Raises:
        ValueError: The value is not a finite number.
    """
    found = parts(vr, value)
    if part >= len(found) or found[part] in (None, ""):
        return None
    try:
        result = float(found[part])
    except (ValueError, TypeError):
        raise ValueError(f"{vr.decode()}: not a number") from None
    if not math.isfinite(result):
        raise ValueError(f"{vr.decode()}: not a finite number")
    return result


def integer(vr: bytes, value: Value, part: int = 0, bits: int = 64) -> int | None:
    """Return one value as a whole number.

    Raises:
        ValueError: The value is not a whole number of so many bits.
    """
    result = number(vr, value, part)
    if result is None:
        return None
    limit = 1 << (bits - 1)
    if result != int(result) or not -limit <= result < limit:
        raise ValueError(f"{vr.decode()}: not a whole number of {bits} bits")
    return int(result)


def day(value: str) -> int:
    """Return days since 1970 of a DA value.

    Raises:
        ValueError: The value is not a date with year, month and day.
    """
    match = _DATE.fullmatch(value)
    if match is None:
        raise ValueError("DA: not YYYYMMDD")
    try:
        return dt.date(*(int(g) for g in match.groups())).toordinal() - _EPOCH
    except ValueError:
        raise ValueError("DA: not a day of the calendar") from None


def microseconds(value: str) -> int:
    """Return microseconds since midnight of a TM value, which may end early.

    Raises:
        ValueError: The value is not a time of day.

    Examples:
        >>> microseconds("1030") // 60_000_000
        630
    """
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError("TM: not HHMMSS.FFFFFF")
    hour, minute, second = (int(g or 0) for g in match.groups()[:3])
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("TM: not a time of day")
    fraction = int((match[4] or "").ljust(6, "0"))
    # a leap second counts as the one before it
    return ((hour * 60 + minute) * 60 + min(second, 59)) * 1_000_000 + fraction


def offset(value: str) -> int | None:
    """Return the minutes east of UTC of an offset such as ``+0130``; None when it is none."""
    match = _OFFSET.fullmatch(value)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return -minutes if match[1] == "-" else minutes


def moment(date: str, time: str | None) -> int:
    """Return microseconds since 1970 of a DA and a TM value, on the sender's clock.

    Raises:
        ValueError: The date or the time is not one (``day``, ``microseconds``).
    """
    return day(date) * _DAY + (microseconds(time) if time else 0)


def datetime(value: str) -> tuple[int, int | None]:
    """Return microseconds since 1970 of a DT value, and its offset from UTC in minutes.

    Raises:
        ValueError: The value is not a date and time, or stops before the day.
    """
    match = _DATETIME.fullmatch(value)
    if match is None:
        raise ValueError("DT: not YYYYMMDDHHMMSS.FFFFFF&ZZXX")
    clock = "".join(g or "" for g in match.groups()[3:6])
    time = clock + ("." + match[7] if match[7] else "")
    east = offset(match[8]) if match[8] else None
    return moment("".join(match.groups()[:3]), time or None), east


def age_years(value: str) -> int:
    """Return whole years of an AS value.

    Raises:
        ValueError: The value is not a number of days, weeks, months or years.

    Examples:
        >>> age_years("045Y"), age_years("018M"), age_years("003D")
        (45, 1, 0)
    """
    match = _AGE.fullmatch(value)
    if match is None:
        raise ValueError("AS: not nnnD, nnnW, nnnM or nnnY")
    return int(int(match[1]) * _MONTHS[match[2]] / 12)

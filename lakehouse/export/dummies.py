"""What stands in a value's place, and what is left of a description that was cleaned."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache
from typing import Any

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.formats.dicom.encoding.values import age_years
from lakehouse.privacy.identity.ages import MAX_AGE, TOP_AGE

REMOVED = "REMOVED"
LOCAL_SCHEME = "99REMOVED"

_DUMMIES: dict[str, Any] = {
    "AE": REMOVED, "AS": "000Y", "CS": REMOVED, "DA": "19000101", "DS": "0",
    "DT": "19000101000000", "IS": "0", "LO": REMOVED, "LT": REMOVED, "PN": REMOVED,
    "SH": REMOVED, "ST": REMOVED, "TM": "000000", "UC": REMOVED, "UI": "2.25.0",
    "UR": "urn:removed", "UT": REMOVED, "US": 0, "SS": 0, "UL": 0, "SL": 0, "UV": 0, "SV": 0,
    "FL": 0.0, "FD": 0.0, "AT": 0,
}  # fmt: skip

_UNITS = frozenset(["mm", "cm", "ml", "s", "ms", "sec", "min", "kv", "gy", "d", "mg", "t"])
_MEASURE = re.compile(r"\d{1,3}(?:\.\d{1,2})?([a-z]{1,3})|(?:t[12]w?|[23]d)")
_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,2})?")
_MOST_MEASURES = 2
"""Numbers that a description may keep: of more, a record number could be put together."""

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATETIME = re.compile(r"(\d{8})(\d{0,6}(?:\.\d{1,6})?)([+-]\d{4})?")
_UTC_OFFSET = re.compile(r"[+-]\d{4}")
_AGE = re.compile(r"(\d{3})([DWMY])")


def dummy(vr: str) -> Any:
    """Return a value of a data type that says nothing.

    Examples:
        >>> dummy("PN"), dummy("DA")
        ('REMOVED', '19000101')
    """
    return _DUMMIES.get(vr, b"\0\0")


@cache
def _words() -> frozenset[str]:
    return frozenset(
        r["word"] for r in read_rows(resource("catalog/dicom") / "descriptor_words.csv")
    )


def cleaned_text(text: str) -> str:
    """Return of a description the words that name body parts, techniques and measures.

    Examples:
        >>> cleaned_text("CT Chest w contrast Smith^John 5mm 12/03/1999")
        'CT Chest w contrast 5mm'
        >>> cleaned_text("123_456_789 CHEST 5 mm")
        'CHEST 5 mm'
    """
    tokens = re.split(r"[\s_,;:()\[\]^]+", text)
    kept: list[str] = []
    measures = 0
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        folded = token.lower()
        if folded in _words():
            kept.append(token)
        elif match := _MEASURE.fullmatch(folded):
            with_unit = match[1] is not None
            measures += with_unit
            if not with_unit or (match[1] in _UNITS and measures <= _MOST_MEASURES):
                kept.append(token)
        elif _NUMBER.fullmatch(folded) and following.lower() in _UNITS:
            measures += 1
            if measures <= _MOST_MEASURES:
                kept += [token, following]
        elif any(sign in folded for sign in "-/+&"):
            parts = re.split(r"[-/+&]", folded)
            if all(p in _words() for p in parts if p) and any(parts):
                kept.append(token)
    return " ".join(kept)


def shifted_date(text: str, days: int) -> str | None:
    """Return a DA value moved by whole days; None when it is no whole date.

    Examples:
        >>> shifted_date("20240228", 2)
        '20240301'
    """
    day = _date(text)
    if day is None:
        return None
    try:
        moved = day + dt.timedelta(days=days)
    except OverflowError:
        return None
    return f"{moved:%Y%m%d}".zfill(8)


def shifted_datetime(text: str, days: int) -> str | None:
    """Return a DT value moved by whole days; None when it names no whole date.

    Examples:
        >>> shifted_datetime("20240228101500.5+0100", 2)
        '20240301101500.5+0100'
    """
    match = _DATETIME.fullmatch(text.strip(" \0"))
    day = shifted_date(match[1], days) if match else None
    return None if match is None or day is None else day + match[2] + (match[3] or "")


def on_the_dummy_day(text: str) -> str:
    """Return a DT value with its time of day, on the day that says nothing.

    Examples:
        >>> on_the_dummy_day("20240228101500.5+0100"), on_the_dummy_day("Smith")
        ('19000101101500.5+0100', '19000101000000')
    """
    match = _DATETIME.fullmatch(text.strip(" \0"))
    clock = match[2] + (match[3] or "") if match else ""
    return f"19000101{clock or '000000'}"


def is_utc_offset(text: str) -> bool:
    """Return whether a value is an offset from UTC.

    Examples:
        >>> is_utc_offset("+0130"), is_utc_offset("Smith")
        (True, False)
    """
    return _UTC_OFFSET.fullmatch(text) is not None


def top_coded_age(stated: str, birth: str | None = None, study: str | None = None) -> str | None:
    """Return an AS value, with 90 years for all from 90 on; None when no age is known.

    The birth date tells better than what is stated, as in the tables; an age that is stated
    beside a birth date of which the day of the study is not known could hide one over 89.

    Examples:
        >>> top_coded_age("093Y"), top_coded_age("045Y"), top_coded_age("1300M")
        ('090Y', '045Y', None)
        >>> top_coded_age("045Y", "19200101", "20240101"), top_coded_age("045Y", "19200101")
        ('090Y', None)
    """
    match = _AGE.fullmatch(stated.strip(" \0"))
    years = age_years(match[0]) if match else None
    born = _date(birth)
    if born is not None:
        at = _date(study)
        if at is None:
            return None
        computed = at.year - born.year - ((at.month, at.day) < (born.month, born.day))
        if computed != years:
            return f"{min(computed, TOP_AGE):03d}Y" if 0 <= computed <= MAX_AGE else None
    if match is None or years is None or years > MAX_AGE:
        return None
    return f"{min(years, TOP_AGE):03d}Y" if years >= TOP_AGE else match[0]


def _date(text: str | None) -> dt.date | None:
    match = _DATE.fullmatch((text or "").strip(" \0"))
    try:
        return dt.date(*(int(g) for g in match.groups())) if match else None
    except ValueError:
        return None

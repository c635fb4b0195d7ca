"""Replacement values for DICOM elements: dummies, shifted dates, ages and cleaned descriptions."""

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
"""Most numbers that a description keeps; more of them could spell a record number."""

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATETIME = re.compile(r"(\d{8})(\d{0,6}(?:\.\d{1,6})?)([+-]\d{4})?")
_UTC_OFFSET = re.compile(r"[+-]\d{4}")
_AGE = re.compile(r"(\d{3})([DWMY])")


def dummy(vr: str) -> Any:
    """Return the dummy value of a value representation.

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


def clean_text(text: str) -> str:
    """Return the words of a description that name body parts, techniques and measures.

    Examples:
        >>> clean_text("CT Chest w contrast Smith^John 5mm 12/03/1999")
        'CT Chest w contrast 5mm'
        >>> clean_text("123_456_789 CHEST 5 mm")
        'CHEST 5 mm'
    """
    tokens = re.split(r"[\s_,;:()\[\]^]+", text)
    words: list[str] = []
    measures = 0
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        folded = token.lower()
        if folded in _words():
            words.append(token)
        elif match := _MEASURE.fullmatch(folded):
            with_unit = match[1] is not None
            measures += with_unit
            if not with_unit or (match[1] in _UNITS and measures <= _MOST_MEASURES):
                words.append(token)
        elif _NUMBER.fullmatch(folded) and following.lower() in _UNITS:
            measures += 1
            if measures <= _MOST_MEASURES:
                words += [token, following]
        elif any(sign in folded for sign in "-/+&"):
            parts = re.split(r"[-/+&]", folded)
            if all(p in _words() for p in parts if p) and any(parts):
                words.append(token)
    return " ".join(words)


def shift_date(text: str, days: int) -> str | None:
    """Return a DA value moved by whole days; None for an incomplete date.

    Examples:
        >>> shift_date("20240228", 2)
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


def shift_datetime(text: str, days: int) -> str | None:
    """Return a DT value moved by whole days; None for an incomplete date.

    Examples:
        >>> shift_datetime("20240228101500.5+0100", 2)
        '20240301101500.5+0100'
    """
    match = _DATETIME.fullmatch(text.strip(" \0"))
    day = shift_date(match[1], days) if match else None
    return None if match is None or day is None else day + match[2] + (match[3] or "")


def with_dummy_date(text: str) -> str:
    """Return a DT value with the dummy date and its own time of day.

    Examples:
        >>> with_dummy_date("20240228101500.5+0100"), with_dummy_date("Smith")
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


def top_code_age(stated: str, birth: str | None = None, study: str | None = None) -> str | None:
    """Return an AS value, top-coded at 90 years; None when the age is unknown.

    The birth date takes precedence over the stated age, as in the tables. Beside a birth date
    without a study date, a stated age is dropped, because the true one could be over 89.

    Examples:
        >>> top_code_age("093Y"), top_code_age("045Y"), top_code_age("1300M")
        ('090Y', '045Y', None)
        >>> top_code_age("045Y", "19200101", "20240101"), top_code_age("045Y", "19200101")
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

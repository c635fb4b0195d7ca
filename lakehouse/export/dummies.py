"""What stands in a value's place, and what is left of a description that was cleaned."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache
from typing import Any

from lakehouse.export.table import data_rows
from lakehouse.resources import resource

REMOVED = "REMOVED"
LOCAL_SCHEME = "99REMOVED"

_DUMMIES: dict[str, Any] = {
    "AE": REMOVED, "AS": "000Y", "CS": REMOVED, "DA": "19000101", "DS": "0",
    "DT": "19000101000000", "IS": "0", "LO": REMOVED, "LT": REMOVED, "PN": REMOVED,
    "SH": REMOVED, "ST": REMOVED, "TM": "000000", "UC": REMOVED, "UI": "2.25.0",
    "UR": "urn:removed", "UT": REMOVED, "US": 0, "SS": 0, "UL": 0, "SL": 0, "UV": 0, "SV": 0,
    "FL": 0.0, "FD": 0.0, "AT": 0,
}  # fmt: skip

_MEASURE = re.compile(r"\d{1,3}(?:\.\d{1,2})?(?:mm|cm|ml|s|ms|kv|gy|d|x\d{1,3})?|t[12]w?|[23]d")
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATETIME = re.compile(r"(\d{8})(\d{0,6}(?:\.\d{1,6})?)([+-]\d{4})?")
_CLOCK = re.compile(r"[\d:]{2,8}(?:\.\d{1,6})?|[+-]\d{4}")
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
        r["word"] for r in data_rows(resource("catalog/dicom") / "descriptor_words.csv")
    )


def cleaned_text(text: str) -> str:
    """Return of a description the words that name body parts, techniques and measures.

    Examples:
        >>> cleaned_text("CT Chest w contrast Smith^John 5mm 12/03/1999")
        'CT Chest w contrast 5mm'
    """
    kept = []
    for token in re.split(r"[\s_,;:()\[\]^]+", text):
        folded = token.lower()
        if folded in _words() or _MEASURE.fullmatch(folded):
            kept.append(token)
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
    match = _DATE.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    try:
        moved = dt.date(*(int(g) for g in match.groups())) + dt.timedelta(days=days)
    except (ValueError, OverflowError):
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


def is_clock(text: str) -> bool:
    """Return whether a value is a time of day or an offset from UTC, and no other text.

    Examples:
        >>> is_clock("101500.5"), is_clock("+0130"), is_clock("Smith")
        (True, True, False)
    """
    return _CLOCK.fullmatch(text.strip(" \0")) is not None


def top_coded_age(text: str) -> str | None:
    """Return an AS value, with 90 years for all from 90 on; None when it is no age.

    Examples:
        >>> top_coded_age("093Y"), top_coded_age("045Y"), top_coded_age("1300M")
        ('090Y', '045Y', None)
    """
    match = _AGE.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    return "090Y" if match[2] == "Y" and int(match[1]) > 90 else match[0]

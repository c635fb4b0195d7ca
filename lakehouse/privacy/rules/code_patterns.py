r"""Patterns that tell codes, code texts and places from text that identifies a person.

Sources put free text into fields for codes. A value stays in a column of class
``code`` only while it could be a code: short, printable, no sentence, and nothing in it that
looks like a phone number, an e-mail address, a web address, a social security number or a date.
``LISINOPRIL 10MG`` passes: some systems send the drug's name as its code.

The patterns are in the syntax of RE2, which Arrow runs over columns.
"""

from __future__ import annotations

from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource

MAX_CODE = 64
"""Most characters of a code."""

MAX_CODES = 16
"""Most codes that one DICOM element holds side by side."""

MAX_WORDS = 8
"""Most words of a code; more are a sentence."""

MAX_TEXT = 300
"""Most characters of a code's text; the longest of LOINC and ICD-10-CM are shorter."""

IDENTIFYING = "|".join(
    (
        r"[^\s@]@[^\s@]+\.[^\s@]",  # e-mail
        r"(?i:\b(?:https?|ftp|file|mailto|tel|sip):)|(?i:\bwww\.)|://",  # web address
        r"(?:^|[^0-9])[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}(?:$|[^0-9])",  # social security number
        r"\([0-9]{3}\) ?[0-9]{3}",  # phone: (555)123
        r"(?:^|[^0-9])[0-9]{3}[-. ][0-9]{3}[-. ][0-9]{4}(?:$|[^0-9])",  # phone: 555-123-4567
        r"^[0-9]{3}-[0-9]{4}$",  # phone without area
        r"\+[0-9][-0-9 ().]{7,}",  # phone: +1 555 ...
        r"(?:^|[^0-9])(?:18|19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}(?:$|[^0-9])",  # date: 2024-01-31
        r"(?:^|[^0-9/])[0-9]{1,2}/[0-9]{1,2}/(?:[0-9]{4}|[0-9]{2})(?:$|[^0-9/])",  # 1/31/2024
        r"^(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9]",
        r"[0-9]{19}",  # longer than any code's number
    )
)
"""Matches where a value holds something that identifies a person or a time."""

_IP = r"(?:^|[^0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:$|[^0-9.])"  # some codes look like one
_CONTROLS = r"[\x00-\x1f\x7f-\x{9f}]"


def has_no_identifier(values: pa.Array) -> pa.Array:
    """Return which strings hold no identifier by its shape, and no control character."""
    found = pc.or_(
        pc.match_substring_regex(values, IDENTIFYING), pc.match_substring_regex(values, _CONTROLS)
    )
    return pc.invert(found)


def _short(value: str) -> bool:
    """Return whether every code between backslashes is short (DICOM PS3.5 6.2)."""
    codes = value.split("\\")
    return len(codes) <= MAX_CODES and max(map(len, codes)) <= MAX_CODE


def looks_like_code(values: pa.Array) -> pa.Array:
    """Return which strings have the shape of a code.

    Examples:
        >>> looks_like_code(pa.array(["LISINOPRIL 10MG", "555-123-4567", "jo@x.org"])).to_pylist()
        [True, False, False]
    """
    # RE2 takes longer to compile {0,64} than Arrow takes to count lengths and words
    short = pc.less_equal(pc.utf8_length(values), MAX_CODE)
    if not pc.all(short, min_count=0).as_py():
        is_short = (v is not None and _short(v) for v in values.to_pylist())
        short = pa.array(is_short, pa.bool_())
    words = pc.count_substring_regex(pc.utf8_trim_whitespace(values), r"\s+")
    short = pc.and_(short, pc.less(words, MAX_WORDS))
    return pc.and_(short, has_no_identifier(values))


def looks_like_text(values: pa.Array) -> pa.Array:
    """Return which strings have the shape of a code's text."""
    plain = pc.and_not(has_no_identifier(values), pc.match_substring_regex(values, _IP))
    return pc.and_(pc.less_equal(pc.utf8_length(values), MAX_TEXT), plain)


@cache
def place_names() -> pa.Array:
    """Return the names of countries, states and provinces in upper case."""
    places = read_rows(resource("catalog/codes") / "places.csv")
    return pa.array(sorted({row["name"].upper() for row in places}))


def looks_like_place(values: pa.Array) -> pa.Array:
    """Return which strings have the shape of a country's or state's code, or are its name.

    Examples:
        >>> looks_like_place(pa.array(["MA", "US-MA", "Ohio", "12 Main St", "Suffolk"])).to_pylist()
        [True, True, True, False, False]
    """
    bare = pc.utf8_trim_whitespace(values)
    code = pc.match_substring_regex(bare, r"^(?:[A-Za-z]{2}-)?[A-Za-z]{1,3}$|^[0-9]{1,3}$")
    return pc.or_(code, pc.is_in(pc.utf8_upper(bare), value_set=place_names()))

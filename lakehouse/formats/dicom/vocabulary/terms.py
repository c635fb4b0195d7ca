"""Defined terms and words of imaging: a code string or text of these alone names nobody."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource

MAX_TERM = 16
"""Characters of a code string (PS3.5 table 6.2-1)."""

MAX_WORDS = 8
MAX_DIGITS = 3
"""Digits of a term: more could be a number that names somebody."""

_SPLIT = re.compile(r"[ _\-/+.,()]+")
_SIDES = re.compile(r"\d*([A-Z]*)\d*")


@cache
def _column(stem: str) -> tuple[str, ...]:
    rows = read_rows(resource("catalog/dicom") / f"{stem}.csv")
    return tuple(next(iter(row.values())) for row in rows)


@cache
def _terms() -> frozenset[str]:
    return frozenset(_column("terms"))


@cache
def _words() -> frozenset[str]:
    return _terms() | {word.upper() for word in _column("descriptor_words")}


def _made_of(text: str, words: frozenset[str]) -> bool:
    folded = text.strip().upper()
    if folded in words:
        return True
    if sum(c.isdigit() for c in folded) > MAX_DIGITS:
        return False
    parts = _SPLIT.split(folded)
    return len(parts) <= MAX_WORDS and all(p in words or _is_bare(p, words) for p in parts)


def _is_bare(part: str, words: frozenset[str]) -> bool:
    """Return whether a part is a letter, digits, or a word with digits at its sides."""
    match = _SIDES.fullmatch(part)
    return match is not None and (len(match[1]) < 2 or match[1] in words)


@lru_cache(maxsize=1 << 14)
def is_term(text: str) -> bool:
    """Return whether a code string is one of the standard's, or could be, by its words.

    Examples:
        >>> is_term("YBR_FULL_422"), is_term("SAT2"), is_term("JOHN"), is_term("123456")
        (True, True, False, False)
    """
    return len(text.strip()) <= MAX_TERM and _made_of(text, _terms())


@lru_cache(maxsize=1 << 14)
def is_known_text(text: str) -> bool:
    """Return whether a text says nothing but words of imaging.

    Examples:
        >>> is_known_text("Model-based"), is_known_text("Seen by Dr Smith")
        (True, False)
    """
    return len(text) <= 64 and _made_of(text, _words())

r"""Values that may stay: what an element must look like to be what its attribute promises.

Attributes hold what somebody typed or a maker's software put there, whatever the standard says.
So an element stays only while its value has the form of its data type, and text only while it
could not be a name: a code string of the standard's own words, the name of a product. Rows and
exported copies ask the same functions, so the two cannot disagree.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from functools import cache, lru_cache

from lakehouse.resources import resource

MAX_TERM = 16
"""Characters of a code string (PS3.5 table 6.2-1)."""

MAX_WORDS = 8
MAX_DIGITS = 3
"""Digits of a term: more could be a number that names somebody."""

_SPLIT = re.compile(r"[ _\-/+.,()]+")
_SIDES = re.compile(r"\d*([A-Z]*)\d*")
_FORMS = {
    "DS": re.compile(r"[+-]?(?:\d{1,16}(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"),
    "IS": re.compile(r"[+-]?\d{1,10}"),
    "DA": re.compile(r"\d{4}\.?(?:0[1-9]|1[0-2])\.?(?:0[1-9]|[12]\d|3[01])"),
    "TM": re.compile(r"(?:[01]\d|2[0-3])(?::?[0-5]\d(?::?(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"),
    "DT": re.compile(r"\d{4}(?:\d\d){0,5}(?:\.\d{1,6})?(?:[+-]\d{4})?"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "UI": re.compile(r"[0-9.]{1,64}"),
    "CS": re.compile(r"[A-Z0-9 _]{0,16}"),
}
"""Forms of the data types that are text but can only hold something definite (PS3.5 6.2)."""

_KERNEL = re.compile(
    r"[A-Za-z]{1,2}\d{1,2}[a-z]{0,2}(?:[-_]?[A-Za-z0-9])?|FC\d\d(?:-[A-Z])?|\d{1,2}"
)
_COMPANY = re.compile(r",? (?:inc|co|ltd|llc|corp|gmbh|ag|kg|s\.?a|e\.?v|b\.?v)\.?$", re.IGNORECASE)
_PRODUCT = re.compile(r"[A-Za-z0-9 .&/()+_-]{1,64}")
_NUMBERED = re.compile(
    r"\d{5}|\d+[-/. ]\d+[-/. ]\d|\b(?:mrn|ssn|dob|pat(?:ient)?|id|name|born|tel|phone)\b[ :#]*\d",
    re.IGNORECASE,
)
_PRODUCT_DIGITS = 6


@cache
def _column(stem: str) -> tuple[str, ...]:
    with (resource("catalog/dicom") / f"{stem}.csv").open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(line for line in lines if not line.startswith("#"))
        next(rows)
        return tuple(row[0] for row in rows)


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


@lru_cache(maxsize=1 << 14)
def is_product(text: str) -> bool:
    """Return whether a text could be the name of a maker or of a model.

    Examples:
        >>> is_product("SonoSite, Inc."), is_product("SOMATOM Definition AS+")
        (True, True)
        >>> is_product("SMITH^JOHN 19581231"), is_product("MRN 1234"), is_product("1958-12-31")
        (False, False, False)
    """
    name = _COMPANY.sub("", text.strip())
    return (
        _PRODUCT.fullmatch(name) is not None
        and _NUMBERED.search(name) is None
        and sum(c.isdigit() for c in name) <= _PRODUCT_DIGITS
        and len(name.split()) <= MAX_WORDS
    )


def is_kernel(text: str) -> bool:
    r"""Return whether a text could be a reconstruction kernel.

    Examples:
        >>> is_kernel("B30f"), is_kernel("STANDARD"), is_kernel("SMITH")
        (True, True, False)
    """
    return _KERNEL.fullmatch(text) is not None or is_known_text(text)


def has_form(vr: str, text: str) -> bool:
    """Return whether a text has the form of its data type; True where the type sets none.

    Examples:
        >>> has_form("DS", "2.50"), has_form("DS", "Smith"), has_form("DA", "19581331")
        (True, False, False)
    """
    form = _FORMS.get(vr)
    return form is None or not text or form.fullmatch(text) is not None


_RULES: dict[str, Callable[[str], bool]] = {
    "term": is_term,
    "words": is_known_text,
    "make": is_product,
    "kernel": is_kernel,
    "number": lambda text: text.isascii() and text.isdigit() and len(text) <= 5,
}


@cache
def _listed() -> dict[int, str]:
    """Return the rule that the value of each safe attribute must pass, by tag."""
    from lakehouse.formats.dicom.mapping import keyword_tag, names

    return {keyword_tag(keyword): rule for keyword, rule in names("safe_attributes").items()}


@cache
def rule_of(tag: int, vr: str) -> str | None:
    """Return the rule for the values of an attribute; None when it has none."""
    return _listed().get(tag) or ("term" if vr == "CS" else None)


def passes(rule: str | None, text: str) -> bool:
    """Return whether one value passes a rule on text; an empty one does."""
    judge = _RULES.get(rule or "")
    return judge is None or not text.strip(" \0") or judge(text.strip(" \0"))

r"""Rules for the values of attributes: the form of a VR, a defined term, a known device.

Attributes hold what somebody typed or a maker's software put there, whatever the standard says.
So an element stays only while its value has the form of its data type, and text only while it
could not be a name: a code string of the standard's own words, the name of a product. Rows and
exported copies ask the same functions, so the two cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from lakehouse.formats.dicom.vocabulary.devices import is_maker, is_model
from lakehouse.formats.dicom.vocabulary.dictionary import keyword_tag, names
from lakehouse.formats.dicom.vocabulary.terms import is_known_text, is_term

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


def is_kernel(text: str) -> bool:
    r"""Return whether a text could be a reconstruction kernel.

    Examples:
        >>> is_kernel("B30f"), is_kernel("STANDARD"), is_kernel("SMITH")
        (True, True, False)
    """
    return _KERNEL.fullmatch(text) is not None or is_known_text(text)


def matches_vr(vr: str, text: str) -> bool:
    """Return whether a text has the form of its data type; True where the type sets none.

    Examples:
        >>> matches_vr("DS", "2.50"), matches_vr("DS", "Smith"), matches_vr("DA", "19581331")
        (True, False, False)
    """
    form = _FORMS.get(vr)
    return form is None or not text or form.fullmatch(text) is not None


_RULES: dict[str, Callable[[str], bool]] = {
    "term": is_term,
    "words": is_known_text,
    "maker": is_maker,
    "model": is_model,
    "kernel": is_kernel,
    "number": lambda text: text.isascii() and text.isdigit() and len(text) <= 5,
}


@cache
def _attribute_rules() -> dict[int, str]:
    """Return the rule that the value of each safe attribute must pass, by tag."""
    return {keyword_tag(keyword): rule for keyword, rule in names("safe_attributes").items()}


@cache
def value_rule(tag: int, vr: str) -> str | None:
    """Return the rule for the values of an attribute; None when it has none."""
    return _attribute_rules().get(tag) or ("term" if vr == "CS" else None)


def is_allowed(rule: str | None, text: str) -> bool:
    """Return whether one value passes a rule on text; an empty one does."""
    is_of = _RULES.get(rule or "")
    return is_of is None or not text.strip(" \0") or is_of(text.strip(" \0"))

"""Single elements: their values, and whether these are what tag and data type promise."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from lakehouse.export.dummies import is_utc_offset
from lakehouse.formats.dicom.vocabulary.safe_values import is_allowed, matches_vr, value_rule

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

_NUMBERS = frozenset(["US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"])
_TEXT_NUMBERS = frozenset(["DS", "IS"])
_FORMED = frozenset(["DS", "IS", "DA", "DT", "TM", "AS", "UI", "CS"])
_UTC_OFFSET = 0x00080201
_BYTES = frozenset(["OB", "OW", "OF", "OD", "OL", "OV"])


def values_of(element: DataElement) -> list[Any]:
    """Return the values of an element that is no sequence."""
    if element.value is None or element.value == "":
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def is_empty(element: DataElement) -> bool:
    """Return whether an element has no value, or one of padding alone."""
    value = element.value
    if element.VR == "SQ":
        return len(value) == 0
    if value is None or (isinstance(value, str) and not value.strip(" \0")):
        return True
    return hasattr(value, "__len__") and len(value) == 0


@cache
def is_known(number: int, vr: str) -> bool:
    """Return whether the current standard has this attribute, under this data type."""
    from pydicom.datadict import dictionary_is_retired, keyword_for_tag

    if not keyword_for_tag(number) or number >> 16 < 8:
        return False
    return not dictionary_is_retired(number) and has_type(number, vr)


@cache
def has_type(number: int, vr: str) -> bool:
    """Return whether the standard gives this data type to an attribute."""
    from pydicom.datadict import dictionary_VR

    known = str(dictionary_VR(number))
    return vr == known or vr in known.split(" or ")


@cache
def _multiplicity(number: int) -> tuple[int, int | None]:
    """Return the fewest and the most values of an attribute (None: any number)."""
    from pydicom.datadict import dictionary_VM

    first, _, last = str(dictionary_VM(number)).partition("-")
    most = int(last or first) if (last or first).isdigit() else None
    return int(first), most


def type_of(element: DataElement) -> str:
    """Return the data type; of one that depends on other attributes, which kind it is here."""
    vr = str(element.VR)
    if " or " not in vr:
        return vr
    return "OW" if isinstance(element.value, bytes) else "US"


def fits(element: DataElement) -> bool:
    """Return whether the values of an element have the form of its data type."""
    vr = type_of(element)
    if int(element.tag) == _UTC_OFFSET:
        return all(is_utc_offset(_text(v)) for v in values_of(element))
    if vr in _NUMBERS:
        return all(isinstance(v, int | float) for v in values_of(element))
    if vr in _FORMED:
        return all(matches_vr(vr, _text(v)) for v in values_of(element))
    return True


def _text(value: Any) -> str:
    return str(value).strip(" \0")


def stays(dataset: Dataset, element: DataElement, depth: int) -> bool:
    """Return whether an element that table E.1-1 does not name stays; cleans what may be.

    Numbers stay when they are numbers, and as many as the attribute has; text and bytes only
    where ``safe_attributes.csv`` or the data type sets a rule for them. Code strings that are no
    terms are emptied where the attribute has several.
    """
    number, vr = int(element.tag), type_of(element)
    values = values_of(element)
    fewest, most = _multiplicity(number)
    if not fits(element) or (most is not None and len(values) > most):
        return False
    if vr in _NUMBERS or vr in ("TM", "AS"):
        return True
    rule = value_rule(number, vr)
    if vr in _TEXT_NUMBERS:
        return True
    if rule is None:
        return False
    if vr in _BYTES:
        from lakehouse.export.byte_lengths import stated_lengths

        return len(element.value) in stated_lengths(dataset, number, rule, depth)
    known = [is_allowed(rule, _text(v)) for v in values]
    if all(known):
        return True
    if fewest == most or not any(k and _text(v) for k, v in zip(known, values, strict=True)):
        return False
    element.value = [v if k else "" for k, v in zip(known, values, strict=True)]
    return True

"""Single DICOM elements: whether their values match tag and value representation."""

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
    """Return the values of an element other than a sequence."""
    if element.value is None or element.value == "":
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def is_empty(element: DataElement) -> bool:
    """Return whether an element has no value, or only padding."""
    value = element.value
    if element.VR == "SQ":
        return len(value) == 0
    if value is None or (isinstance(value, str) and not value.strip(" \0")):
        return True
    return hasattr(value, "__len__") and len(value) == 0


@cache
def is_standard_attribute(number: int, vr: str) -> bool:
    """Return whether the current standard has an attribute with this value representation."""
    from pydicom.datadict import dictionary_is_retired, keyword_for_tag

    if not keyword_for_tag(number) or number >> 16 < 8:
        return False
    return not dictionary_is_retired(number) and has_type(number, vr)


@cache
def has_type(number: int, vr: str) -> bool:
    """Return whether the standard gives an attribute this value representation."""
    from pydicom.datadict import dictionary_VR

    standard = str(dictionary_VR(number))
    return vr == standard or vr in standard.split(" or ")


@cache
def _multiplicity(number: int) -> tuple[int, int | None]:
    """Return the fewest and the most values of an attribute (None: any number)."""
    from pydicom.datadict import dictionary_VM

    first, _, last = str(dictionary_VM(number)).partition("-")
    most = int(last or first) if (last or first).isdigit() else None
    return int(first), most


def type_of(element: DataElement) -> str:
    """Return the value representation; resolve one that depends on other attributes."""
    vr = str(element.VR)
    if " or " not in vr:
        return vr
    return "OW" if isinstance(element.value, bytes) else "US"


def matches_type(element: DataElement) -> bool:
    """Return whether the values of an element match its value representation."""
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


def keep_if_harmless(dataset: Dataset, element: DataElement, depth: int) -> bool:
    """Return whether an element that table E.1-1 does not name is harmless; clean code strings.

    Numbers are harmless when they are as many as the attribute allows. Text and bytes are harmless
    only by a rule of ``safe_attributes.csv`` or of the value representation. In an attribute of
    several code strings, those that are no terms of the standard become empty.
    """
    number, vr = int(element.tag), type_of(element)
    values = values_of(element)
    fewest, most = _multiplicity(number)
    if not matches_type(element) or (most is not None and len(values) > most):
        return False
    if vr in _NUMBERS or vr in ("TM", "AS"):
        return True
    rule = value_rule(number, vr)
    if vr in _TEXT_NUMBERS:
        return True
    if rule is None:
        return False
    if vr in _BYTES:
        from lakehouse.export.byte_lengths import allowed_lengths

        return len(element.value) in allowed_lengths(dataset, number, rule, depth)
    allowed = [is_allowed(rule, _text(v)) for v in values]
    if all(allowed):
        return True
    if fewest == most or not any(k and _text(v) for k, v in zip(allowed, values, strict=True)):
        return False
    element.value = [v if k else "" for k, v in zip(allowed, values, strict=True)]
    return True

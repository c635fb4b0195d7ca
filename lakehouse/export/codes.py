"""Items of code sequences: a public code with our own text of it, or nothing of a local one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakehouse.export.dummies import LOCAL_SCHEME, REMOVED
from lakehouse.formats.dicom.concepts import meaning
from lakehouse.formats.dicom.mapping import names
from lakehouse.formats.dicom.terms import is_known_text
from lakehouse.privacy.terminology import shape_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")
_PREFIX = r"(?:da|[YZEPTGMkhdcmunpfaz])?"
_ATOM = r"(?:mol|eV|Gy|Sv|Bq|Ci|Hz|cd|Pa|min|deg|rad|wk|mo|bar|Cel|[mgsAKVTJNWClLhda%]|\d{1,3})"
_NOTE = re.compile(r"\{([^}]*)\}")
_UNIT = re.compile(rf"/?{_PREFIX}{_ATOM}[+-]?\d?(?:[./*]{_PREFIX}{_ATOM}[+-]?\d?){{0,3}}")


def settle(item: Dataset) -> None:
    """Settle a level that may be the item of a code sequence (PS3.15 E.1.1 note 7)."""
    values = [k for k in CODE_VALUES if str(item.get(k, None) or "").strip(" \0")]
    if not values:  # no code, so nothing that these could speak of
        for keyword in ("CodeMeaning", "CodingSchemeDesignator"):
            if keyword in item:
                delattr(item, keyword)
        return
    designator = str(item.get("CodingSchemeDesignator", None) or "").strip(" \0")
    code = str(item.get(values[0])).strip(" \0")
    text = meaning(designator, code)
    for keyword in values[1:]:
        delattr(item, keyword)
    if text is None and not _is_public(designator, code):
        if values[0] != "CodeValue":
            delattr(item, values[0])
        item.CodeValue, item.CodingSchemeDesignator = "0", LOCAL_SCHEME
        text = REMOVED
    if "CodeMeaning" in item:
        item.CodeMeaning = (text or REMOVED)[:64]


def _is_public(designator: str, code: str) -> bool:
    """Return whether a code has the shape that codes of its public scheme have."""
    system = names("coding_schemes").get(designator, "local")
    if system == "ucum":
        notes = _NOTE.findall(code)
        bare = _NOTE.sub("", code)
        return all(map(is_known_text, notes)) and (not bare or _UNIT.fullmatch(bare) is not None)
    if system == "dcm":  # its words are modalities, which are listed; only numbers grow
        return re.fullmatch(r"\d{5,6}", code) is not None
    shape = shape_of(system)
    return shape is not None and re.fullmatch(shape, code) is not None

"""Items of code sequences: public codes get their published text, local codes are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.export.dummies import LOCAL_SCHEME, REMOVED
from lakehouse.formats.dicom.vocabulary.concepts import is_public, meaning

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")


def replace_local_code(item: Dataset) -> None:
    """Replace a local code and the text of any code in an item (PS3.15 E.1.1 note 7)."""
    values = [k for k in CODE_VALUES if str(item.get(k, None) or "").strip(" \0")]
    if not values:  # meaning and scheme of no code could hold anything
        for keyword in ("CodeMeaning", "CodingSchemeDesignator"):
            if keyword in item:
                delattr(item, keyword)
        return
    designator = str(item.get("CodingSchemeDesignator", None) or "").strip(" \0")
    code = str(item.get(values[0])).strip(" \0")
    text = meaning(designator, code)
    for keyword in values[1:]:
        delattr(item, keyword)
    if not is_public(designator, code):
        if values[0] != "CodeValue":
            delattr(item, values[0])
        item.CodeValue, item.CodingSchemeDesignator = "0", LOCAL_SCHEME
        text = REMOVED
    if "CodeMeaning" in item:
        item.CodeMeaning = (text or REMOVED)[:64]

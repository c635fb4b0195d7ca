"""The texts of the standard's own codes (PS3.16), as pydicom ships them."""

from __future__ import annotations

import re
from functools import cache

_KIND = re.compile(r" \([a-z /]+\)$")  # SNOMED CT: "(body structure)"
_SNOMED_RT = ("SRT", "SNM3", "99SDM")
_OF_THE_STANDARD = frozenset(["DCM", "SCT", "UCUM", *_SNOMED_RT])


@cache
def _listed(designator: str) -> dict[str, str]:
    # pydicom documents the names of its concepts, not the tables behind them
    from pydicom.sr._concepts_dict import concepts

    found: dict[str, str] = {}
    for codes in concepts.get(designator, {}).values():
        for code, (text, _) in codes.items():
            found[code] = _KIND.sub("", text)
    return found


@cache
def _snomed_ids() -> dict[str, str]:
    from pydicom.sr._snomed_dict import mapping

    return dict(mapping["SRT"])


def meaning(designator: str, code: str) -> str | None:
    """Return the standard's text of a code; None for a code that it does not list.

    Examples:
        >>> meaning("DCM", "113691"), meaning("SRT", "T-04000"), meaning("99ACME", "1")
        ('IEC Body Dosimetry Phantom', 'Breast structure', None)
    """
    if designator in _SNOMED_RT:
        designator, code = "SCT", _snomed_ids().get(code, "")
    return _listed(designator).get(code)


def has_own_texts(designator: str) -> bool:
    """Return whether all texts of a scheme's codes come from ``meaning``, none from a source."""
    return designator in _OF_THE_STANDARD

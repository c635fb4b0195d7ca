"""Coded concepts (PS3.16): which are public, and the code meanings that the standard gives."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from lakehouse.formats.binding.codings import LOCAL, has_public_form
from lakehouse.formats.dicom.vocabulary.dictionary import names
from lakehouse.formats.dicom.vocabulary.terms import is_known_text

_KIND = re.compile(r" \([a-z /]+\)$")  # SNOMED CT: "(body structure)"
_SNOMED_RT = ("SRT", "SNM3", "99SDM")
_LANGUAGES = ("RFC3066", "RFC5646", "ISO639_1", "ISO639_2", "ISO3166_1")
_PREFIX = r"(?:da|[YZEPTGMkhdcmunpfaz])?"
_DOSE = r"Gy(?:[cdm]?m2?)?"  # of a dose area product many devices write Gym2 for Gy.m2
_WORD = "mol|eV|Sv|Bq|Ci|Hz|cd|Pa|min|deg|rad|wk|mo|bar|Cel"
_ATOM = rf"(?:{_DOSE}|{_WORD}|[mgsAKVTJNWClLhda%]|\d{{1,3}})"
_NOTE = re.compile(r"\{([^}]*)\}")
_UNIT = re.compile(rf"/?{_PREFIX}{_ATOM}[+-]?\d?(?:[./*]{_PREFIX}{_ATOM}[+-]?\d?){{0,3}}")
_OF_THE_STANDARD = frozenset(["DCM", "SCT", "UCUM", *_SNOMED_RT, *_LANGUAGES])


@cache
def _texts_of_scheme(designator: str) -> dict[str, str]:
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
    return _texts_of_scheme(designator).get(code)


def has_own_texts(designator: str) -> bool:
    """Return whether all texts of a scheme's codes come from ``meaning``, none from a source."""
    return designator in _OF_THE_STANDARD


def system_of_scheme(designator: str) -> str:
    """Return our name of the code system of a coding scheme designator (PS3.16 table 8-1).

    Examples:
        >>> system_of_scheme("LN"), system_of_scheme("99ACME")
        ('loinc', 'local')
    """
    return names("coding_schemes").get(designator, LOCAL)


@lru_cache(maxsize=1 << 14)
def is_public(designator: str, code: str) -> bool:
    """Return whether a code is one of the standard's own, or has the shape of its public scheme.

    What stands in another scheme may be anything that somebody typed: neither rows nor copies
    hold it.

    Examples:
        >>> is_public("SCT", "80891009"), is_public("UCUM", "mm"), is_public("99ACME", "SMITH")
        (True, True, False)
    """
    if meaning(designator, code) is not None:
        return True
    system = system_of_scheme(designator)
    if system == "ucum":
        notes = _NOTE.findall(code)
        bare = _NOTE.sub("", code)
        return all(map(is_known_text, notes)) and (not bare or _UNIT.fullmatch(bare) is not None)
    if system == "dcm":  # its words are modalities, which are listed; only numbers grow
        return re.fullmatch(r"\d{5,6}", code) is not None
    return has_public_form(system, code)

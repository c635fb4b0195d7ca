"""The data dictionary (PS3.6): keywords, tags and VRs, and the tables of names in catalog/dicom."""

from __future__ import annotations

from functools import cache, lru_cache

from lakehouse.definitions.csv_rows import read_pairs
from lakehouse.definitions.resources import resource
from lakehouse.errors import DefinitionError, did_you_mean


def tag_name(tag: int) -> str:
    """Return a tag as the standard writes it.

    Examples:
        >>> tag_name(0x00100020)
        '(0010,0020)'
    """
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@cache
def keyword_tag(keyword: str) -> int:
    """Return the tag of a keyword of the standard.

    Raises:
        DefinitionError: The standard has no such attribute.

    Examples:
        >>> hex(keyword_tag("Modality"))
        '0x80060'
    """
    from pydicom.datadict import keyword_dict, tag_for_keyword

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise DefinitionError(
            f"{keyword} is no attribute of the DICOM standard.",
            did_you_mean(keyword, list(keyword_dict)),
        )
    return int(tag)


@lru_cache(maxsize=1 << 16)
def dictionary_vr(tag: int) -> bytes:
    """Return the VR that the standard gives to a tag; UN for what it does not name."""
    from pydicom.datadict import dictionary_VR

    if tag & 0xFFFF == 0:
        return b"UL"
    try:
        return str(dictionary_VR(tag))[:2].encode()
    except KeyError:
        return b"UN"


def is_sequence(tag: int) -> bool:
    """Return whether the standard makes this tag a sequence."""
    return dictionary_vr(tag) == b"SQ"


@cache
def names(stem: str) -> dict[str, str]:
    """Return a table of names, ``catalog/dicom/<stem>.csv``: first column to second.

    Examples:
        >>> names("sop_classes")["1.2.840.10008.5.1.4.1.1.2"]
        'CT Image Storage'
    """
    return read_pairs(resource("catalog/dicom") / f"{stem}.csv")

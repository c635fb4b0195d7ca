"""The segment ids that the standard defines, up to HL7 v2.9 (appendix A)."""

from __future__ import annotations

from functools import cache

from lakehouse.definitions.resources import resource


@cache
def standard_segments() -> frozenset[str]:
    """Return the ids that ``catalog/codes/hl7_segments.csv`` lists."""
    lines = (resource("catalog/codes") / "hl7_segments.csv").read_text(encoding="ascii").split()
    return frozenset(lines[1:])


def public_name(tag: str) -> str:
    """Return a name under which an unmapped segment may be counted in the open.

    An id that the standard does not define may be a piece of data, so it is not repeated.

    Examples:
        >>> public_name("NTE"), public_name("ZBE"), public_name("DOE")
        ('NTE', 'Z-segment', 'unknown segment')
    """
    if tag in standard_segments():
        return tag
    return "Z-segment" if tag.startswith("Z") else "unknown segment"

"""The segment ids that the standard defines, up to HL7 v2.9 (appendix A)."""

from __future__ import annotations

import re
from functools import cache

from lakehouse.definitions.resources import resource

_SITE_SEGMENT = re.compile("Z[A-Z0-9]{2}")


@cache
def standard_segments() -> frozenset[str]:
    """Return the ids that ``catalog/codes/hl7_segments.csv`` lists."""
    lines = (resource("catalog/codes") / "hl7_segments.csv").read_text(encoding="ascii").split()
    return frozenset(lines[1:])


def public_name(tag: str) -> str:
    """Return a name under which an unmapped segment may be counted in the open.

    An id that the standard does not define may be a piece of data, so it is not repeated. One
    that begins with Z names a site's own segment, which the site has to know to map it; three
    letters and digits are all that a sender can say by it.

    Examples:
        >>> public_name("NTE"), public_name("ZBE"), public_name("DOE")
        ('NTE', 'ZBE', 'unknown segment')
    """
    is_public = tag in standard_segments() or _SITE_SEGMENT.fullmatch(tag)
    return tag if is_public else "unknown segment"

"""Paths into a message: ``PID-3``, ``PID-3.1``, ``FT1-11.1.2``, ``previous PID-3``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lakehouse.errors import DefinitionError

PREVIOUS = "previous "
"""Before a path: the segment of the same kind before the row's own, in the same message."""

_PATH = re.compile(r"(previous )?([A-Z][A-Z0-9]{2})-(\d{1,3})(?:\.(\d{1,2}))?(?:\.(\d{1,2}))?")


@dataclass(frozen=True)
class Path:
    """A place in a message: segment, field, component and sub-component; 0 for one not named."""

    segment: str
    field: int
    component: int = 0
    subcomponent: int = 0

    def __str__(self) -> str:
        parts = [p for p in (self.component, self.subcomponent) if p]
        return f"{self.segment}-{'.'.join(map(str, (self.field, *parts)))}"

    @property
    def tag(self) -> str:
        """The segment's id, without ``previous``."""
        return self.segment.removeprefix(PREVIOUS)

    @property
    def in_own_segment(self) -> Path:
        """The path without ``previous``: the same values, which other rows take."""
        return replace(self, segment=self.tag) if self.segment != self.tag else self

    @property
    def first_component(self) -> Path:
        """The path itself, or the first component where it names a whole field."""
        return self if self.component else Path(self.segment, self.field, 1)


def parse_path(text: str) -> Path:
    """Read one path.

    Raises:
        DefinitionError: The text is not of the form ``PID-3``, ``PID-3.1`` or ``PID-3.4.1``.

    Examples:
        >>> str(parse_path("PID-3.4.1"))
        'PID-3.4.1'
    """
    match = _PATH.fullmatch(text.strip())
    if match is None:
        raise DefinitionError(f"{text!r} is not an HL7 path.", "Write PID-3, PID-3.1 or PID-3.4.1.")
    previous, segment, *numbers = match.groups()
    return Path((previous or "") + segment, *(int(n or 0) for n in numbers))

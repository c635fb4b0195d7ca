"""``InputFile``: location and packing of an input file, and the keyed digest of its content."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from lakehouse.errors import InputError

PLAIN, GZIP, TRUNCATED, BROKEN = "plain", "gzip", "cut", "broken"


@dataclass(frozen=True, slots=True, repr=False)
class InputFile:
    """One input file; the keyed digest of its content names it, and its location may identify.

    Attributes:
        location: Absolute path, or the path inside the file system of ``root``; never printed.
        requested_path: The path that the person typed and that led here; may be printed.
        root: URI that names the file system; empty for local files.
        extension: Lower-case extension of the content's own name, with the dot.
        members: Positions inside archives, outermost first.
        packing: ``plain``, ``gzip``, ``cut`` (gzip whose end is missing), or ``broken`` when it
            cannot be unpacked.
        size: Bytes as stored (compressed size of a member).
        stored_size: Bytes of the stored file (of the whole archive).
        modified: Time at which the stored file was last written, in nanoseconds.
        listed_at: Time at which discovery listed it, in nanoseconds.
        content_size: Bytes of the unpacked content.
        file_id: Keyed digest of the content (or of the format's fingerprint of it).
        path_id: Keyed digest of location and members.
        format: Name of the format that recognised the content, or None.
        kind: Where none did, what the content looks like (``kinds``).
        has_fingerprint: Whether ``file_id`` digests the format's fingerprint, not all content.
    """

    location: str
    requested_path: str
    root: str = ""
    extension: str = ""
    members: tuple[int, ...] = ()
    packing: str = PLAIN
    size: int = 0
    stored_size: int = 0
    modified: int = 0
    listed_at: int = 0
    content_size: int = 0
    file_id: str = ""
    path_id: str = ""
    format: str | None = None
    kind: str = ""
    has_fingerprint: bool = False

    def __repr__(self) -> str:
        return f"InputFile({self.file_id or 'not read yet'})"

    def __reduce__(self) -> tuple[type[InputFile], tuple[Any, ...]]:
        return InputFile, _values(self)  # takes a third of a dataclass's own time

    @property
    def is_requested(self) -> bool:
        """Whether the person typed the path of this very file, and not of a folder above it."""
        return not self.members and self.location == os.path.abspath(self.requested_path)

    def error(self, what: str, remedy: str = "") -> InputError:
        """Return an error about this file that names only the path that the person typed."""
        place = (
            self.requested_path
            if self.is_requested
            else f"A file at or below {self.requested_path}"
        )
        return InputError(f"{place} {what}.", remedy)


_values = attrgetter(*(field.name for field in fields(InputFile)))

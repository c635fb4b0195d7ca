"""DICOMDIR: which files it names (PS3.3 F.3); nothing else of it is read."""

from __future__ import annotations

from typing import BinaryIO

from lakehouse.formats.dicom.encoding.elements import items
from lakehouse.formats.dicom.encoding.header import read_header
from lakehouse.formats.dicom.encoding.values import parts
from lakehouse.formats.dicom.encoding.window import Unreadable

DIRECTORY = "1.2.840.10008.1.3.10"
_CLASS, _RECORDS, _FILE = 0x00020002, 0x00041220, 0x00041500


def referenced_files(stream: BinaryIO) -> list[tuple[str, ...]]:
    """Return the files that an index names, each as the parts of its path; none for other files."""
    try:
        header = read_header(stream, {_CLASS: b"UI", _RECORDS: b"SQ"})
        found = header.elements
        if parts(*found.get(_CLASS, (b"UI", b"")))[0] != DIRECTORY or _RECORDS not in found:
            return []
        records = [r for r, _ in items(found[_RECORDS][1], header.implicit, header.big)]
    except Unreadable:
        return []
    paths = (tuple(str(p) for p in parts(*r[_FILE])) for r in records if _FILE in r)
    return list(dict.fromkeys(path for path in paths if all(path)))

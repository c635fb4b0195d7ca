"""Encodes DICOM objects in explicit VR little endian (PS3.5, PS3.10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack
from typing import Any

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLEMENTATION = "2.25.270695996825855179949881587723571202390"

_LONG = {"OB", "OW", "SQ", "UN", "UT"}
_BINARY = {"US": "<H", "UL": "<I", "SS": "<h", "FD": "<d", "FL": "<f"}

Elements = Mapping[int, tuple[str, Any]]
"""VR and value by tag; a sequence's value is a list of the same."""


def element(tag: int, vr: str, value: Any) -> bytes:
    """Return one element.

    Examples:
        >>> element(0x00080060, "CS", "CT").hex()
        '08006000435302004354'
    """
    data = _value(vr, value)
    if len(data) % 2:
        data += b"\0" if vr in ("UI", "OB", "UN") else b" "
    head = pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in _LONG:
        return head + b"\0\0" + pack("<I", len(data)) + data
    return head + pack("<H", len(data)) + data


def _value(vr: str, value: Any) -> bytes:
    if vr == "SQ":
        items = [b"".join(element(t, *e) for t, e in sorted(item.items())) for item in value]
        return b"".join(pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    if isinstance(value, bytes):
        return value
    many: Sequence[Any] = value if isinstance(value, list) else [value]
    if vr in _BINARY:
        return b"".join(pack(_BINARY[vr], v) for v in many)
    return "\\".join(str(v) for v in many).encode()


def part10(sop_class: str, uid: str, elements: Elements, station: str) -> bytes:
    """Return a whole object: preamble, group 0002, data set."""
    meta = b"".join(
        (
            element(0x00020001, "OB", b"\0\1"),
            element(0x00020002, "UI", sop_class),
            element(0x00020003, "UI", uid),
            element(0x00020010, "UI", EXPLICIT_LITTLE),
            element(0x00020012, "UI", IMPLEMENTATION),
            element(0x00020016, "AE", station),
        )
    )
    body = b"".join(element(tag, vr, value) for tag, (vr, value) in sorted(elements.items()))
    return bytes(128) + b"DICM" + element(0x00020000, "UL", len(meta)) + meta + body

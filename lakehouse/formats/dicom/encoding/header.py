"""Find and read the header of one DICOM object: preamble, file meta information, data set.

PS3.10 asks for 128 bytes of preamble, ``DICM`` and group 0002. Real files lack each of them, so
the encoding is taken from the transfer syntax where there is one and from the first element else.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast

from lakehouse.formats.dicom.encoding.elements import LONG, SHORT, Elements, Level, walk
from lakehouse.formats.dicom.encoding.window import InflatedStream, Unreadable, Window

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
GE_PRIVATE_BIG = "1.2.840.113619.5.2"  # implicit VR, pixel data big endian

CHARACTER_SET = 0x00080005
TRANSFER_SYNTAX = 0x00020010


@dataclass(slots=True)
class Header:
    """What is before the pixel data of one object.

    Attributes:
        elements: The elements asked for, of the data set and of group 0002.
        implicit: The data set is in implicit VR.
        big: The data set is big endian.
        size: Bytes of the stored file, when known.
        n_elements: Elements of the data set at top level.
        end: Bytes of the header; None when the data set is deflated.
        weight: Bytes that were walked, inflated.
        truncated: The pixel data reaches beyond the file.
    """

    elements: Elements
    implicit: bool
    big: bool
    size: int | None
    n_elements: int
    end: int | None
    weight: int
    truncated: bool


def looks_like_dicom(head: bytes) -> bool:
    r"""Return whether a file that begins with these bytes may be a DICOM object.

    Examples:
        >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"MSH|^~\\&|")
        (True, False)
    """
    return head[128:132] == b"DICM" or head[:4] == b"DICM" or _begins_with_element(head)


def _begins_with_element(head: bytes) -> bool:
    """Return whether the first elements make sense without preamble: group, VR, length."""
    pos, seen = 0, 0
    little = head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x00", b"\x04\x00")
    if len(head) < 16 or not (little or head[:2] in (b"\x00\x08", b"\x00\x02")):
        return False
    order: Literal["little", "big"] = "little" if little else "big"
    last = -1
    while pos + 8 <= len(head) and seen < 3:
        group = int.from_bytes(head[pos : pos + 2], order)
        tag = group << 16 | int.from_bytes(head[pos + 2 : pos + 4], order)
        vr = head[pos + 4 : pos + 6]
        if tag <= last:
            return False
        if vr in LONG:
            length = int.from_bytes(head[pos + 8 : pos + 12], order)
            pos += 12
        elif vr in SHORT:
            length = int.from_bytes(head[pos + 6 : pos + 8], order)
            pos += 8
        elif vr[0:1].isalpha() or not little:
            return False
        else:
            length = int.from_bytes(head[pos + 4 : pos + 8], "little")
            pos += 8
        if length > 1 << 16:
            return False
        pos += length
        last = tag
        seen += 1
    return seen == 3 or (seen > 1 and pos == len(head))


def read_header(stream: BinaryIO, tags: Mapping[int, bytes]) -> Header:
    """Return the header of the object in a stream; nothing behind it is read.

    Args:
        stream: The object, from its beginning.
        tags: Tags to keep with the VR of the standard.

    Raises:
        Unreadable: The stream is not DICOM, ends inside an element, nests sequences too deep, or
            states a length beyond the file.
    """
    window = Window.open(stream)
    stored = window.size
    pos = _behind_preamble(window.buf)
    if pos == 0 and not _begins_with_element(window.buf):
        raise Unreadable("dicom.not-dicom", "The file does not begin as a DICOM object does.")
    meta, pos = _read_group(window, pos, 0x0002, tags)
    _, pos = _read_group(window, pos, 0x0000, {})
    syntax = _syntax(meta)
    window.fill(pos, 12)
    first = window.buf[pos - window.base : pos - window.base + 6]
    explicit_found = first[4:6] in SHORT or first[4:6] in LONG
    end: int | None = None
    if syntax == DEFLATED:
        inflated = InflatedStream(stream, window.buf[pos - window.base :])
        window = Window(cast(BinaryIO, inflated), None)
        window.fill(pos := 0, 12)
        implicit = big = False
    elif syntax:
        big = syntax == EXPLICIT_BIG
        # what stands in the file wins over what it claims
        implicit = not (len(first) == 6 and 64 < first[4] < 91 and 64 < first[5] < 91)
        if len(first) < 6:
            implicit = syntax in (IMPLICIT_LITTLE, GE_PRIVATE_BIG)
    else:
        implicit = not explicit_found
        big = explicit_found and int.from_bytes(first[:2], "little") >= 1024
    level: Level = walk(window, pos, implicit, big, tags)
    if not level.n_elements:
        raise Unreadable("dicom.empty", "The object has no elements.")
    if syntax != DEFLATED:
        end = level.end
    level.elements.update(meta)
    size = window.size
    truncated = size is not None and level.pixels_end is not None and level.pixels_end > size
    return Header(
        level.elements, implicit, big, stored, level.n_elements, end, level.end, truncated
    )


def inflated_size(data: bytes, most: int) -> int:
    """Return the bytes that a deflated object inflates to, no more than ``most``; 0 for others."""
    window = Window.over(data)
    meta, pos = _read_group(window, _behind_preamble(data), 0x0002, {})
    if _syntax(meta) != DEFLATED:
        return 0
    inflated = InflatedStream(io.BytesIO(data[pos:]), b"")
    size = 0
    while size < most and (piece := inflated.read(min(most - size, 1 << 20))):
        size += len(piece)
    return size


def _behind_preamble(head: bytes) -> int:
    return 132 if head[128:132] == b"DICM" else 4 if head[:4] == b"DICM" else 0


def _syntax(meta: Elements) -> str:
    return meta.get(TRANSFER_SYNTAX, (b"UI", b""))[1].decode("latin-1").strip("\0 ")


def _read_group(
    window: Window, pos: int, group: int, tags: Mapping[int, bytes]
) -> tuple[Elements, int]:
    """Read the little-endian elements of one leading group; explicit VR, or implicit if not."""
    mark = group.to_bytes(2, "little")
    elements: Elements = {}
    while True:
        buf, base = window.fill(pos, 12)
        at = pos - base
        if buf[at : at + 2] != mark or at + 8 > len(buf):
            return elements, pos
        tag = group << 16 | int.from_bytes(buf[at + 2 : at + 4], "little")
        vr = buf[at + 4 : at + 6]
        if vr in LONG:
            start, length = pos + 12, int.from_bytes(buf[at + 8 : at + 12], "little")
        elif vr in SHORT:
            start, length = pos + 8, int.from_bytes(buf[at + 6 : at + 8], "little")
        else:
            start, length = pos + 8, int.from_bytes(buf[at + 4 : at + 8], "little")
        if window.size is not None and start + length > window.size:
            raise Unreadable("dicom.truncated", "The file ends inside its meta information.")
        if tag in tags or tag == TRANSFER_SYNTAX:
            buf, base = window.fill(start, length)
            elements[tag] = (tags.get(tag, b"UI"), buf[start - base : start - base + length])
        pos = start + length

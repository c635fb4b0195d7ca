"""Walk the elements of a data set: PS3.5 chapter 7, every encoding, without recursion.

Only what is asked for is copied; sequences are kept as bytes and opened by ``items`` when a
column needs what is inside. Nesting is measured on the way, so a hostile file costs no stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from struct import Struct

from lakehouse.formats.dicom.encoding.window import MAX_PLAIN, MAX_VALUE, Unreadable, Window
from lakehouse.formats.dicom.vocabulary.dictionary import dictionary_vr, is_sequence, tag_name

Element = tuple[bytes, bytes]
"""VR and value as stored, little endian; a sequence is the bytes of its items."""

Elements = dict[int, Element]

MAX_DEPTH = 64
"""Sequences inside sequences; real objects stay below ten."""

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = frozenset({0x7FE00010, 0x7FE00008, 0x7FE00009})
LONG = frozenset([b"OB", b"OD", b"OF", b"OL", b"OW", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT"])
LONG |= {b"SV", b"UV"}
SHORT = frozenset([b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO"])
SHORT |= {b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
BLANK = frozenset([b"  ", b"??", b"--"])
"""Written in place of a VR that the writer did not know; a two-byte length follows."""

_WIDTH = {b"US": 2, b"SS": 2, b"OW": 2, b"UL": 4, b"SL": 4, b"FL": 4, b"OF": 4, b"OL": 4}
_WIDTH |= {b"FD": 8, b"OD": 8, b"UV": 8, b"SV": 8, b"OV": 8}
_EXPLICIT = {False: Struct("<HH2sH").unpack_from, True: Struct(">HH2sH").unpack_from}
_IMPLICIT = {False: Struct("<HHI").unpack_from, True: Struct(">HHI").unpack_from}
_LENGTH = {False: Struct("<I").unpack_from, True: Struct(">I").unpack_from}
_WALKED_FROM = MAX_DEPTH * 16  # a shorter sequence cannot be nested deeper than allowed


@dataclass(slots=True)
class Level:
    """What one pass over a data set found.

    Attributes:
        elements: The elements asked for.
        end: Position behind the last element, or of the pixel data.
        n_elements: Elements at this level.
        pixels_end: Position behind the pixel data as declared; None when there is none, or when it
            is encapsulated.
    """

    elements: Elements = field(default_factory=dict)
    end: int = 0
    n_elements: int = 0
    pixels_end: int | None = None


def _truncation(tag: int) -> Unreadable:
    return Unreadable("dicom.truncated", "The file ends inside an element.", tag_name(tag))


def walk(
    window: Window,
    pos: int,
    implicit: bool,
    big: bool,
    tags: Mapping[int, bytes] | None,
    end: int | None = None,
) -> Level:
    """Walk one level of elements from ``pos`` to the pixel data, an item's end or ``end``.

    Args:
        window: Where the bytes are.
        pos: Position of the first element.
        implicit: Implicit VR.
        big: Big endian.
        tags: Tags to keep with the VR of the standard; None keeps all.
        end: Position behind the last element; None where it is not known.

    Raises:
        Unreadable: The bytes end inside an element, sequences are nested too deep, or a length
            reaches beyond the file.
    """
    level = Level()
    elements = level.elements
    explicit, plain, length_at = _EXPLICIT[big], _IMPLICIT[big], _LENGTH[big]
    buf, base = window.buf, window.base
    have = base + len(buf)
    limit = window.size if end is None else end
    count = 0
    while limit is None or pos < limit:
        if pos + 12 > have:
            buf, base = window.fill(pos, 12)
            have = base + len(buf)
            if pos + 8 > have:
                if pos < have and any(buf[pos - base :]):  # padding with zeros is no element
                    raise _truncation(0)
                break
        at = pos - base
        if implicit:
            group, number, length = plain(buf, at)
            vr = b""
            start = pos + 8
        else:
            group, number, vr, length = explicit(buf, at)
            start = pos + 8
            if vr in LONG:
                if at + 12 > len(buf):
                    raise _truncation(group << 16 | number)
                (length,) = length_at(buf, at + 8)
                start = pos + 12
            elif vr in BLANK:
                vr = b"UN"
            elif vr not in SHORT and not (65 <= vr[0] <= 90 and 65 <= vr[1] <= 90):
                length = plain(buf, at)[2]  # a writer that fell back to implicit VR (or an item)
                vr = b""
        tag = group << 16 | number
        if tag in PIXELS:
            level.pixels_end = None if length == UNDEFINED else start + length
            break
        if group == 0xFFFE:
            if tag == ITEM_END:
                pos = start
                break
            raise Unreadable("dicom.structure", "An item stands outside a sequence.")
        if tag == 0 and length == 0 and not any(buf[at : at + 64]):
            break
        count += 1
        if length == UNDEFINED:
            window.keep = start if tags is None or tag in tags else None
            stop = measure(window, start, implicit or vr == b"UN" or not vr, big, None)
            value_end = stop - 8
            buf, base = window.buf, window.base
            have = base + len(buf)
        else:
            stop = value_end = start + length
            if limit is not None and stop > limit:
                raise _truncation(tag)
            if length > _WALKED_FROM and (vr == b"SQ" or (not vr and is_sequence(tag))):
                window.keep = start if tags is None or tag in tags else None
                measure(window, start, implicit or not vr, big, stop)
                buf, base = window.buf, window.base
                have = base + len(buf)
        if tags is None or (tag in tags and value_end > start):
            known = dictionary_vr(tag) if tags is None else tags[tag]
            if not vr or vr == b"UN":
                vr = b"SQ" if length == UNDEFINED and known == b"UN" else known
            size = value_end - start
            if size > (MAX_VALUE if vr == b"SQ" or tags is None else MAX_PLAIN):
                raise Unreadable("dicom.length", "A value is too large.", tag_name(tag))
            if start < base or value_end > have:
                buf, base = window.fill(start, size)
                have = base + len(buf)
                if value_end > have:
                    raise _truncation(tag)
            value = buf[start - base : value_end - base]
            if big and vr in _WIDTH:
                value = swap_bytes(value, _WIDTH[vr])
            elements[tag] = (vr, value)
            window.keep = None
        pos = stop
    level.end = pos
    level.n_elements = count
    return level


def swap_bytes(value: bytes, width: int) -> bytes:
    r"""Return big-endian numbers as little-endian ones.

    Examples:
        >>> swap_bytes(b"\x01\x02\x03\x04", 2)
        b'\x02\x01\x04\x03'
    """
    whole = len(value) // width * width
    return b"".join(value[i : i + width][::-1] for i in range(0, whole, width))


def measure(window: Window, pos: int, implicit: bool, big: bool, end: int | None) -> int:
    """Return the position behind a sequence, walking all that is nested in it.

    Args:
        window: Where the bytes are.
        pos: Position of the first item.
        implicit: Implicit VR.
        big: Big endian.
        end: Position behind the sequence; None when a delimiter marks it.

    Raises:
        Unreadable: The bytes end inside an element, sequences are nested deeper than
            ``MAX_DEPTH``, or something else than an item stands in one.
    """
    stack: list[tuple[int | None, bool, bool]] = [(end, implicit, False)]  # end, implicit, is item
    explicit, plain, length_at = _EXPLICIT[big], _IMPLICIT[big], _LENGTH[big]
    while True:
        stop, implicit, in_item = stack[-1]
        if stop is not None and pos >= stop:
            stack.pop()
            pos = stop
            if not stack:
                return pos
            continue
        buf, base = window.buf, window.base
        if pos + 14 > base + len(buf) or pos < base:
            buf, base = window.fill(pos, 14)
        at = pos - base
        if at + 8 > len(buf):
            raise _truncation(0)
        group, number, length = plain(buf, at)
        tag = group << 16 | number
        start = pos + 8
        if group == 0xFFFE:
            if tag == ITEM:
                inner = _item_is_implicit(buf, at + 8, implicit)
                stack.append((None if length == UNDEFINED else start + length, inner, True))
            else:
                stack.pop()
                if not stack:
                    return start
            pos = start
            continue
        if not in_item:
            raise Unreadable("dicom.structure", "A sequence holds something that is no item.")
        vr = b""
        if not implicit:
            _, _, vr, short = explicit(buf, at)
            if vr in LONG:
                if at + 12 > len(buf):
                    raise _truncation(tag)
                (length,) = length_at(buf, at + 8)
                start = pos + 12
            elif vr in SHORT or vr in BLANK or (65 <= vr[0] <= 90 and 65 <= vr[1] <= 90):
                length = short
            else:
                vr = b""
        if length == UNDEFINED:
            stack.append((None, implicit or vr == b"UN" or not vr, False))
            pos = start
        elif length > 8 and (vr == b"SQ" or (not vr and is_sequence(tag))):
            stack.append((start + length, implicit or not vr, False))
            pos = start
        else:
            pos = start + length
        if window.size is not None and start + (0 if length == UNDEFINED else length) > window.size:
            raise _truncation(tag)
        if len(stack) > 2 * MAX_DEPTH:
            raise Unreadable("dicom.nesting", "Sequences are nested too deep.", tag_name(tag))


def _item_is_implicit(buf: bytes, at: int, implicit: bool) -> bool:
    """Return the encoding in which an item really is: some writers change it inside a sequence."""
    vr = buf[at + 4 : at + 6]
    if len(vr) < 2 or buf[at : at + 2] in (b"\xfe\xff", b"\xff\xfe"):
        return implicit
    if implicit:
        return not (vr in SHORT or vr in LONG)
    return not (65 <= vr[0] <= 90 and 65 <= vr[1] <= 90) and vr not in BLANK


def items(
    value: bytes, implicit: bool, big: bool, first_only: bool = False
) -> Iterator[tuple[Elements, bool]]:
    """Yield the items of a sequence: their elements, and whether they are in implicit VR.

    Raises:
        Unreadable: An item is damaged, as in ``walk``.
    """
    window = Window.over(value)
    read: Callable[[bytes, int], tuple[int, int, int]] = _IMPLICIT[big]
    pos = 0
    while pos + 8 <= len(value):
        group, number, length = read(value, pos)
        if group << 16 | number != ITEM:
            return
        pos += 8
        inner = _item_is_implicit(value, pos, implicit)
        end = None if length == UNDEFINED else pos + length
        if end is not None and end > len(value):
            raise _truncation(ITEM)
        level = walk(window, pos, inner, big, None, end)
        yield level.elements, inner
        if first_only:
            return
        pos = level.end if end is None else end

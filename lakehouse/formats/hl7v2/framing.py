"""From a stream of bytes to chunks of whole messages, in bounded memory.

A message begins where a line begins with ``MSH`` and a character that can separate fields. Files
hold many messages, with or without blank lines, MLLP framing or batch headers between them; a
chunk ends where a message ends.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

CHUNK = 4 * 2**20
"""Bytes read at a time; large enough for whole-array work, small enough for the cache."""

_ELIDE_OVER = 16 * 2**20
_LONGEST_KEPT = 64 * 2**10

_MESSAGE = re.compile(rb"(?:(?<=[\r\n\x0b\x1c])|\A)MSH(?=[^A-Za-z0-9\s\x00\x0b\x1c\x80-\xff])")
# A header in full form is one wherever it stands: senders put their own marks before it, or
# forget the line end. A field cannot hold it, since its separators would have to be escaped.
_FULL_HEADER = re.compile(rb"MSH([^A-Za-z0-9\s\x00\x80-\xff])[^A-Za-z0-9\s\x00\x80-\xff]{3,5}\1")
_HEAD = re.compile(rb"[\s\x0b\x1c]*(?:\[[A-Z]{1,8}\])?(?:MSH|FHS|BHS)[^A-Za-z0-9\s\x00\x80-\xff]")
_BOM = codecs.BOM_UTF8


@dataclass(frozen=True)
class Chunk:
    """Whole messages and what stands between them.

    Attributes:
        data: The bytes, UTF-8 or a single-byte set; never UTF-16.
        starts: Where each message begins in ``data``.
        offsets: Where each message begins in the decoded file.
        offset: Where ``data`` begins in the decoded file.
    """

    data: bytes
    starts: list[int]
    offsets: list[int]
    offset: int


def looks_like_hl7(head: bytes) -> bool:
    r"""Return whether a file that begins so holds HL7 v2 messages.

    Examples:
        >>> looks_like_hl7(b"\x0bMSH|^~"), looks_like_hl7(b"MSHA")
        (True, False)
    """
    codec = _wide(head)
    if codec is not None:
        head = head[: len(head) // 2 * 2].decode(codec, "ignore").encode("utf-8")
    return _HEAD.match(head.removeprefix(_BOM)) is not None


def _wide(head: bytes) -> str | None:
    """Return the codec of a UTF-16 file, by its mark or its zero bytes."""
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if head[:6] in (b"M\0S\0H\0", b"F\0H\0S\0", b"B\0H\0S\0"):
        return "utf-16-le"
    if head[:6] in (b"\0M\0S\0H", b"\0F\0H\0S", b"\0B\0H\0S"):
        return "utf-16-be"
    return None


def _blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the file's bytes without byte-order mark, UTF-16 turned into UTF-8."""
    first = stream.read(size)
    codec = _wide(first)
    if codec is None:
        yield first.removeprefix(_BOM)
        while block := stream.read(size):
            yield block
        return
    decoder = codecs.getincrementaldecoder(codec)("replace")
    block = first
    while block:
        yield decoder.decode(block).encode("utf-8")
        block = stream.read(size)
    yield decoder.decode(b"", final=True).encode("utf-8")


def chunks(stream: BinaryIO, size: int = CHUNK) -> Iterator[Chunk]:
    """Yield the messages of a stream, about ``size`` bytes at a time.

    One message larger than 16 MiB loses the inside of its over-long fields (embedded documents,
    which are never stored), so that memory stays bounded whatever a sender embeds.
    """
    held, offset, dropped = bytearray(), 0, 0
    for block in _blocks(stream, size):
        held += block.replace(b"\n\xef\xbb\xbfMSH", b"\nMSH")
        if len(held) < size:
            continue
        cut = _last_start(held)
        if cut > 0:
            data = bytes(held[:cut])
            yield _chunk(data, offset)
            offset += cut + dropped
            dropped = 0
            del held[:cut]
        elif len(held) > _ELIDE_OVER:
            shorter = _elide(bytes(held))
            dropped += len(held) - len(shorter)
            held = bytearray(shorter)
    if held.strip():
        yield _chunk(bytes(held), offset)


def _chunk(data: bytes, offset: int) -> Chunk:
    """Find the messages: a search for MSH, then a look at what stands around it."""
    starts: list[int] = []
    offsets: list[int] = []
    parts: list[bytes] = []
    begin = 0
    place = data.find(b"MSH")
    while place >= 0:
        if _MESSAGE.match(data, place):
            starts.append(place + len(parts))
            offsets.append(place + offset)
        elif _FULL_HEADER.match(data, place):
            parts.append(data[begin:place])  # each cut becomes a line end before the header
            begin = place
            starts.append(place + len(parts))
            offsets.append(place + offset)
        place = data.find(b"MSH", place + 3)
    return Chunk(b"\r".join([*parts, data[begin:]]), starts, offsets, offset)


def _last_start(held: bytearray) -> int:
    """Return where the last message begins, or 0."""
    end = len(held) - 12  # the whole header must be there to be seen
    while (place := held.rfind(b"MSH", 0, end)) > 0:
        if _MESSAGE.match(held, place) or _FULL_HEADER.match(held, place):
            return place
        end = place + 2
    return 0


def _elide(data: bytes) -> bytes:
    """Cut the inside out of stretches without field separator or line end."""
    separator = data[3] if data[:3] == b"MSH" else ord("|")
    table = np.zeros(256, dtype=np.uint8)
    table[[separator, 13, 10]] = 1
    places = np.flatnonzero(np.frombuffer(data.translate(table.tobytes()), dtype=bool))
    edges = np.concatenate(([0], places, [len(data)]))
    long = np.flatnonzero(np.diff(edges) > 2 * _LONGEST_KEPT)
    parts, begin = [], 0
    for i in long:
        parts.append(data[begin : edges[i] + _LONGEST_KEPT])
        begin = int(edges[i + 1]) - _LONGEST_KEPT // 2
    return b"".join([*parts, data[begin:]])

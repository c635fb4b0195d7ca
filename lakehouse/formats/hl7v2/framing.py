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
import numpy.typing as npt

from lakehouse.formats.hl7v2.tokens import Bools

CHUNK = 8 * 2**20
"""Bytes read at a time: large enough that a column of some thousand rows pays for the call that
makes it (4 MiB cost a quarter more for messages of 4 KB), small enough for the cache (16 MiB cost
a tenth more for messages of 250 bytes)."""

_ELIDE_OVER = 16 * 2**20
_LONGEST_KEPT = 64 * 2**10

_MESSAGE = re.compile(rb"(?:(?<=[\r\n\x0b\x1c])|\A)MSH(?=[^A-Za-z0-9\s\x00\x0b\x1c\x80-\xff])")
# A header in full form is one wherever it stands: senders put their own marks before it, or
# forget the line end. A field cannot hold it, since its separators would have to be escaped.
_FULL_HEADER = re.compile(rb"MSH([^A-Za-z0-9\s\x00\x80-\xff])[^A-Za-z0-9\s\x00\x80-\xff]{3,5}\1")
_HEAD = re.compile(rb"[\s\x0b\x1c]*(?:\[[A-Z]{1,8}\])?(?:MSH|FHS|BHS)[^A-Za-z0-9\s\x00\x80-\xff]")
_BOM = codecs.BOM_UTF8


def _table(pattern: bytes) -> Bools:
    """Return which bytes a character class takes."""
    return np.array([bool(re.fullmatch(pattern, bytes([byte]))) for byte in range(256)])


_ENDS_LINE = _table(rb"[\r\n\x0b\x1c]")
_SEPARATES = _table(rb"[^A-Za-z0-9\s\x00\x0b\x1c\x80-\xff]")


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
    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
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
        if _BOM in block:  # of files that were put one behind the other
            block = block.replace(b"\n" + _BOM + b"MSH", b"\nMSH")
        held += block
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


# The end of file of DOS, and NULs of a file made longer than its content; length is kept
_FILLING = re.compile(rb"[\x00\x1a]+(?=[\r\n\x0b\x1c]|MSH|\Z)")


def _chunk(data: bytes, offset: int) -> Chunk:
    """Find the messages: a search for MSH, then a look at what stands around it."""
    if b"\x1a" in data or b"\x00" in data:
        data = _FILLING.sub(lambda found: b"\r" * len(found[0]), data)
    sizes = np.fromiter(map(len, data.split(b"MSH")), dtype=np.int64)
    places = np.cumsum(sizes[:-1] + 3) - 3
    raw = np.frombuffer(data, dtype=np.uint8)
    begins_line = _ENDS_LINE[raw[np.maximum(places - 1, 0)]] | (places == 0)
    header = begins_line & _SEPARATES[raw[np.minimum(places + 3, len(raw) - 1)]]
    inside = [i for i in np.flatnonzero(~header) if _FULL_HEADER.match(data, places[i])]
    if inside:  # each cut becomes a line end before the header
        cuts = places[inside].tolist()
        edges = zip([0, *cuts], [*cuts, len(data)], strict=True)
        data = b"\r".join(data[begin:end] for begin, end in edges)
    cut = np.zeros(len(places), dtype=np.int64)
    cut[inside] = 1
    found = header | (cut > 0)
    return Chunk(data, (places + np.cumsum(cut))[found], places[found] + offset, offset)


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

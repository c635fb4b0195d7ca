"""From a stream of bytes to chunks of whole messages, in bounded memory.

A message begins where a line begins with ``MSH`` and a character that can separate fields. Files
hold many messages, with or without blank lines, MLLP framing or batch headers between them; a
chunk ends where a message ends.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from lakehouse.formats.hl7v2.encoding.buffers import Bools
from lakehouse.formats.hl7v2.encoding.documents import Documents, Gaps

CHUNK = 8 * 2**20
"""Bytes read at a time: large enough that a column of some thousand rows pays for the call that
makes it (4 MiB cost a quarter more for messages of 4 KB), small enough for the cache (16 MiB cost
a tenth more for messages of 250 bytes)."""

LARGEST = 16 * 2**20
"""Bytes of the largest message that is parsed, its embedded documents left out: a message is not
parsed in parts, and its columns take a multiple of its length."""

MOST_SEGMENTS = 400_000
"""Segments that are parsed together, for empty ones make columns too; the most of one message."""

MOST_MESSAGES = 2**16
"""Messages of one chunk."""

TOO_LARGE = (
    "hl7v2.message.too-large",
    f"Over {LARGEST >> 20} MiB without its embedded documents, or over {MOST_SEGMENTS:,} segments.",
)
CUT_OFF = ("hl7v2.message.cut-off", "The file ends within the message.")

_BLOCK = 2**20
_TAIL = 16  # a header must be there to its end to be seen

_MESSAGE = re.compile(rb"(?:(?<=[\r\n\x0b\x1c])|\A)MSH(?=[^A-Za-z0-9\s\x00\x0b\x1c\x80-\xff])")
# A header in full form is one wherever it stands: senders put their own marks before it, or
# forget the line end. A field cannot hold it, since its separators would have to be escaped.
_FULL_HEADER = re.compile(rb"MSH([^A-Za-z0-9\s\x00\x80-\xff])[^A-Za-z0-9\s\x00\x80-\xff]{3,5}\1")
_HEAD = re.compile(rb"[\s\x0b\x1c]*(?:\[[A-Z]{1,8}\])?(?:MSH|FHS|BHS)[^A-Za-z0-9\s\x00\x80-\xff]")
_BOM = codecs.BOM_UTF8
_NOWHERE = np.zeros(0, dtype=np.int64)


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
        offset: Where ``data`` begins in the decoded file.
        turns: Places in ``data`` from which on bytes lie elsewhere in the file than those before:
            a line end was put in, or the inside of a field was cut out.
        shifts: By how much, from each of these places on.
        left_out: Rule and text of the reject, where it stands for one message that is left out.
    """

    data: bytes
    starts: npt.NDArray[np.int64]
    offset: int
    turns: npt.NDArray[np.int64] = field(default_factory=lambda: _NOWHERE)
    shifts: npt.NDArray[np.int64] = field(default_factory=lambda: _NOWHERE)
    left_out: tuple[str, str] | None = None

    def in_file(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return where places of ``data`` lie in the decoded file."""
        shifts = np.append(0, self.shifts)
        passed = np.searchsorted(self.turns, places, side="right")
        there: npt.NDArray[np.int64] = places + self.offset + shifts[passed]
        return there

    def pieces(self) -> Iterator[Chunk]:
        """Yield it in pieces of up to ``MOST_MESSAGES``."""
        if len(self.starts) <= MOST_MESSAGES:
            yield self
            return
        edges = [0, *self.starts[MOST_MESSAGES::MOST_MESSAGES].tolist(), len(self.data)]
        for i, (begin, end) in enumerate(pairwise(edges)):
            starts = self.starts[i * MOST_MESSAGES : (i + 1) * MOST_MESSAGES] - begin
            turns = self.turns - begin
            yield Chunk(self.data[begin:end], starts, self.offset + begin, turns, self.shifts)

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each message begins in the decoded file."""
        return self.in_file(self.starts)


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


# UTF-16 without a mark shows itself by the zero bytes of its first header
_WIDE = {
    "utf-16-le": re.compile(rb"(?:[\s\x0b\x1c]\0)*(?:M\0S\0H|F\0H\0S|B\0H\0S)\0"),
    "utf-16-be": re.compile(rb"(?:\0[\s\x0b\x1c])*(?:\0M\0S\0H|\0F\0H\0S|\0B\0H\0S)"),
}


def _wide(head: bytes) -> str | None:
    """Return the codec of a UTF-16 file, by its mark or its zero bytes."""
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    return next((codec for codec, pattern in _WIDE.items() if pattern.match(head)), None)


def _blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the file's bytes without byte-order mark, UTF-16 turned into UTF-8.

    A surrogate without its pair becomes bytes that UTF-8 does not allow, so that the message it
    stands in is found to be undecodable; half a character at the end of the file is left out.
    """
    block = stream.read(size)
    codec = _wide(block)
    if codec is None:
        block = block.removeprefix(_BOM)
        while block:
            yield block
            block = stream.read(size)
        return
    decoder = codecs.getincrementaldecoder(codec)("surrogatepass")
    while block:
        yield decoder.decode(block).encode("utf-8", "surrogatepass")
        block = stream.read(size)


def chunks(stream: BinaryIO, size: int = CHUNK, *, cut: bool = False) -> Iterator[Chunk]:
    """Yield the messages of a stream, about ``size`` bytes at a time, in bounded memory.

    A message over ``LARGEST`` loses the inside of its over-long fields (embedded documents, which
    are never stored); if it is too large even so, a chunk without data stands for it. So it does
    for the last message of a file that is known to be ``cut``: half an identifier names another.
    """
    pending = PendingBytes()
    for block in _blocks(stream, min(_BLOCK, size)):
        pending.data += block
        if len(pending.data) >= size:
            yield from pending.whole_messages()
    yield from _without_last(list(pending.rest())) if cut else pending.rest()


def _without_last(pieces: list[Chunk]) -> Iterator[Chunk]:
    """Yield the chunks with the last message left out."""
    yield from pieces[:-1]
    for last in pieces[-1:]:
        if not len(last.starts) or last.left_out:
            yield last
            continue
        begin = int(last.starts[-1])
        yield replace(last, data=last.data[:begin], starts=last.starts[:-1])
        offset = int(last.offsets[-1])
        yield Chunk(b"", np.zeros(1, dtype=np.int64), offset, left_out=CUT_OFF)


class PendingBytes:
    """Bytes read of a stream that are in no chunk yet; they begin with a message.

    Attributes:
        data: The bytes; the reader puts more behind them.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self._offset = 0  # of data in the decoded file
        self._seen = 0  # a message over the size of a chunk: it does not end before this
        self._skipping = False  # it is too large, and what is left of it goes
        self._documents = Documents()

    def whole_messages(self) -> Iterator[Chunk]:
        """Yield the messages whose end is there."""
        if self._seen:  # its end is searched in what came since
            end = self._next_start()
            yield from self._large(end or len(self.data), ended=bool(end))
        elif cut := self._last_start():
            yield from self._take(cut)
            return
        else:
            end = 0
        if not end:
            self._seen = max(len(self.data) - _TAIL, 1)

    def rest(self) -> Iterator[Chunk]:
        """Yield what is left at the end of the file."""
        if self._seen:
            yield from self._large(self._next_start() or len(self.data), ended=True)
        if self.data.strip():
            yield from self._take(len(self.data))

    def _large(self, end: int, *, ended: bool) -> Iterator[Chunk]:
        """Cut the message that ``data`` begins with until it is small enough, or give it up."""
        if not self._skipping and (self._documents.open or end > LARGEST):
            end = self._documents.shorten(self.data, end, ended=ended)
            if end > LARGEST:
                self._skipping = True
                if _begins(self.data, 0):  # and not what stands before the first message
                    yield Chunk(b"", np.zeros(1, dtype=np.int64), self._offset, left_out=TOO_LARGE)
        if self._skipping:
            self._drop(end if ended else end - _TAIL)
            self._skipping = not ended
        elif ended:
            yield from self._take(end)

    def _take(self, end: int) -> Iterator[Chunk]:
        """Yield the messages up to a place, which leave ``data``."""
        chunk = _chunk(bytes(self.data[:end]), self._offset, self._documents.gaps)
        self._drop(end)
        return chunk.pieces()

    def _drop(self, end: int) -> None:
        del self.data[:end]
        self._offset += end + sum(length for _, length in self._documents.gaps)
        self._documents = Documents()
        self._seen = 0

    def _last_start(self) -> int:
        """Return where the last message begins, or 0."""
        end = len(self.data) - _TAIL
        while (place := self.data.rfind(b"MSH", 1, end)) > 0:
            if _begins(self.data, place):
                return place
            end = place + 2
        return 0

    def _next_start(self) -> int:
        """Return where the message behind the large one begins, or 0."""
        place = self._seen
        while (place := self.data.find(b"MSH", place)) > 0:
            if _begins(self.data, place):
                return place
            place += 1
        return 0


def _begins(data: bytearray, place: int) -> bool:
    return bool(_MESSAGE.match(data, place) or _FULL_HEADER.match(data, place))


# The end of file of DOS, and NULs of a file made longer than its content; length is kept
_FILLING = re.compile(rb"[\x00\x1a]+(?=[\r\n\x0b\x1c]|MSH|\Z)")


def _chunk(data: bytes, offset: int, gaps: Gaps) -> Chunk:
    """Find the messages: a search for MSH, then a look at what stands around it."""
    if b"\x1a" in data or b"\x00" in data:
        data = _FILLING.sub(lambda found: b"\r" * len(found[0]), data)
    if _BOM in data:  # of files that were put one behind the other
        data = data.replace(_BOM + b"MSH", b"\r\r\rMSH")
    raw = np.frombuffer(data, dtype=np.uint8)
    places = np.flatnonzero(raw[:-2] == ord("M"))  # a third of the time of a search for the word
    places = places[(raw.take(places + 1) == ord("S")) & (raw.take(places + 2) == ord("H"))]
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
    turns, shifts = _turns(places[inside], gaps)
    return Chunk(data, (places + np.cumsum(cut))[found], offset, turns, shifts)


def _turns(
    cuts: npt.NDArray[np.int64], gaps: Gaps
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return from where on bytes are shifted against the file, and by how much."""
    if not len(cuts) and not gaps:
        return _NOWHERE, _NOWHERE
    put_in = [(int(place) + i + 1, -1) for i, place in enumerate(cuts)]
    left_out = [(place + int(np.searchsorted(cuts, place, "right")), n) for place, n in gaps]
    turns, lengths = zip(*sorted([*put_in, *left_out]), strict=True)
    return np.array(turns, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)

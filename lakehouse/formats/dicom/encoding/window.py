"""A forward buffer over a stream: reading a header costs the header's bytes.

Elements that nobody asks for are stepped over: by seeking where the stream can, else by reading
and dropping, up to a limit. A length that reaches beyond the file is found without reading it.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

CHUNK = 16 * 1024
"""First read of a file: the header of most instances."""

MAX_VALUE = 64 * 1024 * 1024
"""Largest value that is taken into memory: the tree of a report, the contours of a plan."""

MAX_PLAIN = 1 << 20
"""Largest value of an element that is no sequence: none that is mapped comes near."""

MAX_DROPPED = 256 * 1024 * 1024
"""Most bytes that are read only to be dropped, where a stream cannot seek."""


class Unreadable(Exception):
    """The file cannot be read on; becomes a reject.

    Args:
        rule: Id of the rule.
        message: What is wrong, without any value from the data.
        location: Tag of the element, or empty.
    """

    def __init__(self, rule: str, message: str, location: str = "") -> None:
        super().__init__(rule, message, location)
        self.rule, self.message, self.location = rule, message, location


class Window:
    """A forward view of a stream.

    Attributes:
        buf: The bytes at hand.
        base: Position of ``buf[0]`` in the stream.
        size: Length of the stream, or None when unknown.
        keep: Position from which no byte may be let go, or None.
    """

    __slots__ = ("_dropped", "_stream", "_tell", "base", "buf", "keep", "size")

    def __init__(self, stream: BinaryIO | None, size: int | None, buf: bytes = b"") -> None:
        self._stream = stream
        self._tell = len(buf)
        self._dropped = 0
        self.buf = buf
        self.base = 0
        self.size = size
        self.keep: int | None = None

    @classmethod
    def open(cls, stream: BinaryIO) -> Window:
        """Return the window at the beginning of a stream, its first chunk read."""
        size = stream.seek(0, io.SEEK_END) if stream.seekable() else None
        if size is not None:
            stream.seek(0)
        window = cls(stream, size)
        window.fill(0, CHUNK)
        return window

    @classmethod
    def over(cls, data: bytes) -> Window:
        """Return a window over bytes at hand."""
        return cls(None, len(data), data)

    def fill(self, pos: int, need: int) -> tuple[bytes, int]:
        """Return ``(buf, base)`` with the bytes from ``pos`` on: ``need`` of them, or to the end.

        Raises:
            Unreadable: More would have to be read or dropped than the limits allow.
        """
        stream = self._stream
        if stream is None or (pos >= self.base and pos + need <= self.base + len(self.buf)):
            return self.buf, self.base
        origin = pos if self.keep is None else min(self.keep, pos)
        if pos + need - origin > MAX_VALUE:
            raise Unreadable("dicom.length", "A value is larger than is ever read.")
        kept = self.buf[origin - self.base :] if origin < self._tell else b""
        if origin > self._tell:
            self._skip(stream, origin)
        # grow with what is kept, so that a long sequence is not copied once a chunk
        wanted = max(pos + need - origin - len(kept), CHUNK, len(kept))
        pieces = [kept]
        while wanted > 0 and (piece := stream.read(wanted)):
            pieces.append(piece)
            self._tell += len(piece)
            wanted -= len(piece)
        self.buf = b"".join(pieces)
        self.base = origin
        return self.buf, self.base

    def _skip(self, stream: BinaryIO, pos: int) -> None:
        if self.size is not None:
            stream.seek(pos)
            self._tell = pos
            return
        while self._tell < pos:
            piece = stream.read(min(pos - self._tell, 1 << 20))
            if not piece:
                raise Unreadable("dicom.truncated", "The file ends inside an element.")
            self._tell += len(piece)
            self._dropped += len(piece)
            if self._dropped > MAX_DROPPED:
                raise Unreadable("dicom.length", "Too much lies before the pixel data.")


class InflatedStream(io.RawIOBase):
    """The data set of a deflated object, inflated as it is read."""

    def __init__(self, stream: BinaryIO, start: bytes) -> None:
        super().__init__()
        self._stream = stream
        self._pending = start
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes.

        Raises:
            Unreadable: The stream is not deflate data.
        """
        out = bytearray()
        while len(out) < size and not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._pending or self._stream.read(CHUNK)
            self._pending = b""
            try:
                out += self._inflate.decompress(data, size - len(out))
            except zlib.error:
                raise Unreadable("dicom.deflate", "The deflated data set is damaged.") from None
            if not data:
                break
        return bytes(out)

"""A file of an object store, read by few requests that are no larger than what is wanted.

Which part of a file is wanted is known only while it is read: of a feed all of it, of an image its
header. So the first request is small, and each one that goes on where the last one ended brings
twice as much. The beginning is kept, for every reader looks at it first.
"""

from __future__ import annotations

import io
import os
from typing import Any

FIRST_REQUEST = 64 << 10
LARGEST_REQUEST = 4 << 20


class RemoteFile(io.RawIOBase):
    """A random-access file of Arrow as a raw stream.

    Args:
        far: The file.
        head: Its beginning, where that was read before.

    Attributes:
        head: Its beginning, as far as the first request brought it.
    """

    def __init__(self, far: Any, head: bytes = b"") -> None:
        super().__init__()
        self.head = head
        self._far = far
        self._size = far.size()
        self._position = 0
        self._block, self._base = head, 0
        self._asked = FIRST_REQUEST

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; nothing is read for it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer with what is at hand, or with what one request brings."""
        view = memoryview(buffer).cast("B")
        if self._position >= self._size or not len(view):
            return 0
        at = self._position - self._base
        if not 0 <= at < len(self._block):
            at = self._fetch()
        piece = self._block[at : at + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self) -> int:
        """Bring the block at the position; return where in it the position is."""
        if self._position < len(self.head):
            self._block, self._base = self.head, 0
            return self._position
        goes_on = self._position == self._base + len(self._block) and self._position > 0
        self._asked = min(self._asked * 2, LARGEST_REQUEST) if goes_on else FIRST_REQUEST
        self._base = self._position
        self._block = bytes(
            self._far.read_at(min(self._asked, self._size - self._base), self._base)
        )
        if self._base == 0:
            self.head = self._block
        return 0

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._far.close()
        super().close()

"""``RemoteFile``: reads a file of an object store by few requests without fetching too much.

Only reading shows which part of a file a parser needs: all of a feed, the header of an image. So
the first request is small, and each request that continues the last one is twice as large. The
beginning stays in memory, since every reader looks at it first.
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
        file: The file.
        head: Its beginning, if the caller has it.

    Attributes:
        head: Its beginning, as far as the first request fetched it.
    """

    def __init__(self, file: Any, head: bytes = b"") -> None:
        super().__init__()
        self.head = head
        self._file = file
        self._size = file.size()
        self._position = 0
        self._block, self._base = head, 0
        self._request_size = FIRST_REQUEST

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
        """Go to a position without a request."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer from memory, or else by one request."""
        view = memoryview(buffer).cast("B")
        if self._position >= self._size or not len(view):
            return 0
        at = self._position - self._base
        if not 0 <= at < len(self._block):
            at = self._fetch()
        part = self._block[at : at + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _fetch(self) -> int:
        """Fetch the block at the position; return the offset of the position in it."""
        if self._position < len(self.head):
            self._block, self._base = self.head, 0
            return self._position
        is_next = self._position == self._base + len(self._block) and self._position > 0
        self._request_size = (
            min(self._request_size * 2, LARGEST_REQUEST) if is_next else FIRST_REQUEST
        )
        self._base = self._position
        self._block = bytes(
            self._file.read_at(min(self._request_size, self._size - self._base), self._base)
        )
        if self._base == 0:
            self.head = self._block
        return 0

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()

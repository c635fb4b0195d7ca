"""pyiceberg's file access, with files that survive a power cut.

A catalog's database makes its pointer durable at every commit, but nobody does so for what it
points at: after a power cut it may name a metadata file that is empty. pyiceberg takes a file
access of one's own by the property ``py-io-impl``; this one syncs what it wrote to a disk.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from lakehouse.storage.io.files import is_local, normalise, sync

IMPLEMENTATION = f"{__name__}.DurableFileIO"


class DurableFileIO(PyArrowFileIO):
    """pyiceberg's access by pyarrow; files on a disk are synced when they are closed."""

    def new_output(self, location: str) -> PyArrowFile:
        """Return a file to write to."""
        if not is_local(location):
            return super().new_output(location)
        scheme, netloc, path = self.parse_location(location, self.properties)
        return _DurableFile(location, path, self.fs_by_scheme(scheme, netloc))


class _DurableFile(PyArrowFile):
    def create(self, overwrite: bool = False) -> Any:
        return _DurableStream(super().create(overwrite), normalise(self.location))


class _DurableStream:
    """A stream that syncs its file when it is closed."""

    def __init__(self, stream: Any, path: str) -> None:
        self._stream = stream
        self._path = path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> _DurableStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if not self._stream.closed:
            self._stream.close()
            sync(self._path)

"""A pyiceberg FileIO whose files survive a power cut.

A catalog's database makes its pointer durable at every commit, but not the metadata file that it
points at: after a power cut that file may be empty. pyiceberg takes another FileIO by the
property ``py-io-impl``, and this one syncs the files that it wrote to a disk.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from lakehouse.storage.io.files import is_local, normalise, sync

IMPLEMENTATION = f"{__name__}.DurableFileIO"


class DurableFileIO(PyArrowFileIO):
    """pyiceberg's FileIO over pyarrow that syncs a file on a disk when it closes it."""

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
    """An output stream that syncs its file when it closes."""

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

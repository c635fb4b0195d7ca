"""The content of an input file: opened, unpacked, and proved to be what was announced.

A file is plain, gzip (by its first bytes, whatever its name), or a member of a zip or tar archive,
of which one may lie in another. What a format reads is always the unpacked content, and what names
a file is the keyed digest of that: the same messages are the same file however they are packed.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, cast

from pyarrow import fs

from lakehouse.errors import InputError
from lakehouse.sources.archives import Archive, open_archive
from lakehouse.sources.input_file import GZIP, PLAIN, TRUNCATED, InputFile
from lakehouse.sources.remote_file import FIRST_REQUEST, RemoteFile

ARCHIVE_DEPTH = 3
"""Archives within archives deeper than this are read as one opaque file."""
CHUNK = 1 << 20
GCS_PATIENCE = 30
"""Seconds for which a request to Google's store is tried again; its client's own limit is a
quarter of an hour, in which somebody without credentials sees nothing happen."""

SETTLED_NS = 2_000_000_000
"""A file last written longer than this before it was looked at cannot have been written again
within the same tick of the file system's clock."""


class Hasher(Protocol):
    """A keyed digest in the making."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far."""
        ...


class BrokenContent(Exception):
    """The packing of a file is damaged; carries no text, for the cause may quote the content."""


class TruncatedContent(BrokenContent):
    """The end of a packed file is missing; what comes before is sound as far as it goes."""


def is_uri(path: str) -> bool:
    """Return whether a path names a file system by a scheme.

    Examples:
        >>> is_uri("s3://bucket/adt"), is_uri("/data/adt")
        (True, False)
    """
    return "://" in path


@lru_cache(maxsize=64)
def file_system(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system that a URI names, and the path inside it."""
    found: tuple[Any, str] = fs.FileSystem.from_uri(bounded(uri))
    return found


def bounded(uri: str) -> str:
    """Return the URI with a limit to the time that an answer is waited for.

    Examples:
        >>> bounded("gs://feeds/adt"), bounded("s3://feeds/adt")
        ('gs://feeds/adt?retry_limit_seconds=30', 's3://feeds/adt')
    """
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={GCS_PATIENCE}"


def open_stored(file: InputFile, head: bytes = b"") -> BinaryIO:
    """Open the file as it is stored.

    Args:
        file: The file.
        head: The beginning of a far file, where that was read before.

    Raises:
        InputError: It is gone, or may not be read.
    """
    with storage_faults(file):
        if file.root:
            far = file_system(file.root)[0].open_input_file(file.location)
            return io.BufferedReader(RemoteFile(far, head), FIRST_REQUEST)
        return open(file.location, "rb")


def stored_state(file: InputFile) -> tuple[int, int]:
    """Return size and time of last writing (ns) of the stored file.

    Raises:
        InputError: It is gone.
    """
    with storage_faults(file):
        if not file.root:
            state = os.stat(file.location)
            return state.st_size, state.st_mtime_ns
        info = file_system(file.root)[0].get_file_info(file.location)
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError
        return info.size, info.mtime_ns or 0


@contextmanager
def storage_faults(file: InputFile) -> Iterator[None]:
    """Turn what the operating system or an object store raises into an error that names no file."""
    try:
        yield
    except FileNotFoundError:
        raise file.error("vanished while it was being read", "Run the command again.") from None
    except PermissionError:
        raise file.error(
            "cannot be read (permission denied)", "Let this user read it, or leave it out."
        ) from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else type(error).__name__
        raise file.error(f"cannot be read ({why})", "Mend it and run the command again.") from None


class Opener:
    """Opens contents one after the other, and keeps the last archive open for its next member.

    Examples:
        >>> with Opener() as opener, opener.open(file) as content:  # doctest: +SKIP
        ...     content.read(4)
        b'MSH|'
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._held: tuple[str, str, tuple[int, ...]] | None = None
        self._archive: Archive | None = None
        self._far: tuple[tuple[str, str, int, int], RemoteFile] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def archive(self, file: InputFile, members: tuple[int, ...]) -> Archive:
        """Return the archive that the members lead to (none: the stored file itself).

        Raises:
            BrokenContent: It is damaged, or encrypted.
        """
        wanted = (file.root, file.location, members)
        if self._archive is None or self._held != wanted:
            self._stack.close()
            self._archive = None
            stored: Any = self._stack.enter_context(open_stored(file))
            with packing_faults():
                archive = self._stack.enter_context(open_archive(stored))
                for position in members:
                    inner = self._stack.enter_context(archive.open(position))
                    archive = self._stack.enter_context(open_archive(inner))
            self._archive, self._held = archive, wanted
        return self._archive

    def raw(self, file: InputFile) -> BinaryIO:
        """Return the stored bytes, or the member's, with any gzip still around them."""
        if not file.members:
            return self._stored(file)
        archive = self.archive(file, file.members[:-1])
        with packing_faults():
            return archive.open(file.members[-1])

    def _stored(self, file: InputFile) -> BinaryIO:
        """Open a stored file; of a far one that was the last to be opened, its head is at hand."""
        state = (file.root, file.location, file.stored_size, file.modified)
        head = self._far[1].head if self._far is not None and self._far[0] == state else b""
        stored = open_stored(file, head)
        raw = getattr(stored, "raw", None)
        self._far = (state, raw) if isinstance(raw, RemoteFile) else None
        return stored

    def open(self, file: InputFile, hasher: Hasher | None = None) -> Content:
        """Return the unpacked content, not yet read."""
        return Content(file, self.raw(file), hasher)


_FAULTS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    NotImplementedError,  # a compression method that zipfile does not know
    RuntimeError,  # an encrypted member
    IndexError,  # the archive has fewer members than it had
    UnicodeDecodeError,
)


@contextmanager
def packing_faults() -> Iterator[None]:
    """Turn what the packing libraries raise on damaged bytes into ``BrokenContent``."""
    try:
        yield
    except EOFError:
        raise TruncatedContent from None
    except _FAULTS:
        raise BrokenContent from None


class _UpToTheCut(io.RawIOBase):
    """What a gzip file holds whose end is missing."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        super().__init__()
        self._packed = packed

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer with what one read of the packed file gives; nothing at the cut."""
        try:
            data = self._packed.read1(len(buffer))
        except EOFError:
            return 0
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the packed file."""
        self._packed.close()
        super().close()


class Content(io.RawIOBase):
    """The unpacked content as a seekable (when plain) or sequential binary stream.

    Every byte is fed to the hasher when it is first reached in order, so that ``digest`` can tell
    whether what was parsed is what was announced. ``failure`` keeps the first error of the
    storage below, even when a parser swallows it.
    """

    def __init__(self, file: InputFile, stored: BinaryIO, hasher: Hasher | None) -> None:
        super().__init__()
        self.file = file
        self.failure: Exception | None = None
        self.n_hashed = 0
        self._hasher = hasher
        self._stored = stored
        self._inner: Any = stored
        if file.packing in (GZIP, TRUNCATED):
            self._inner = gzip.GzipFile(fileobj=stored)
        if file.packing == TRUNCATED:
            self._inner = _UpToTheCut(self._inner)
        self._position = 0
        self._plain = file.packing == PLAIN and not file.members

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether going back is cheap: only where nothing has to be unpacked."""
        return self._plain

    def tell(self) -> int:
        """Return the position in the unpacked content."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position of the unpacked content."""
        if not self._plain:
            raise io.UnsupportedOperation("seek")
        self._position = self._inner.seek(offset, whence)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as the content goes."""
        view = memoryview(buffer).cast("B")
        filled = 0
        try:
            with storage_faults(self.file), packing_faults():
                while filled < len(view) and (n := self._inner.readinto(view[filled:])):
                    filled += n
        except (BrokenContent, InputError) as fault:
            self.failure = self.failure or fault
            raise
        self._hash(view[:filled])
        return filled

    def _hash(self, data: memoryview) -> None:
        start, end = self._position, self._position + len(data)
        if self._hasher is not None and start <= self.n_hashed < end:
            self._hasher.update(data[self.n_hashed - start :])
            self.n_hashed = end
        self._position = end

    def close(self) -> None:
        """Close the content and what lies below it."""
        if not self.closed:
            self._inner.close()
            self._stored.close()
        super().close()

    @property
    def complete(self) -> bool:
        """Whether every byte that was announced went through the hasher."""
        return self._hasher is not None and self.n_hashed >= self.file.content_size

    def digest(self) -> str:
        """Return the digest of everything, having read what may be left at the end."""
        assert self._hasher is not None  # noqa: S101 - asked for only when `complete`
        if self._plain:
            self.seek(self.n_hashed)
        buffer = bytearray(CHUNK)
        while self.readinto(buffer):
            pass
        return self._hasher.hexdigest()


def buffered(content: Content, size: int) -> io.BufferedReader:
    """Return the content as the stream that formats get; when it goes, it closes the content."""
    return io.BufferedReader(cast(Any, content), size)

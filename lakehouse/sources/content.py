"""Opens and unpacks the content of an input file, and digests it on the way.

A file is plain, gzip (by its first bytes, whatever its name) or a member of a zip or tar archive.
Archives may nest. A format always reads the unpacked content, and the keyed digest of that
content names the file: the same messages are the same file however they are packed.
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
"""Depth of nested archives from which an archive counts as one opaque file."""
CHUNK = 1 << 20
GCS_RETRY_SECONDS = 30
"""Seconds for which the client of Google's store repeats a request. Its default is a quarter of an
hour, in which a person without credentials sees nothing happen."""

CLOCK_TICK_NS = 2_000_000_000
"""Longest tick of a file system's clock. A file last written longer than this before its listing
cannot have changed again under the same time."""


class Hasher(Protocol):
    """A keyed digest that takes bytes one chunk after the other."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far."""
        ...


class BrokenContent(Exception):
    """The packing of a file is damaged; has no text, since the cause may quote the content."""


class TruncatedContent(BrokenContent):
    """The end of a packed file is missing; the bytes before it are sound."""


def is_uri(path: str) -> bool:
    """Return whether a path names a file system by a scheme.

    Examples:
        >>> is_uri("s3://bucket/adt"), is_uri("/data/adt")
        (True, False)
    """
    return "://" in path


@lru_cache(maxsize=64)
def file_system(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system that a URI names and the path inside it."""
    found: tuple[Any, str] = fs.FileSystem.from_uri(limit_retries(uri))
    return found


def limit_retries(uri: str) -> str:
    """Return a URI whose options limit how long its client repeats a request.

    Examples:
        >>> limit_retries("gs://feeds/adt"), limit_retries("s3://feeds/adt")
        ('gs://feeds/adt?retry_limit_seconds=30', 's3://feeds/adt')
    """
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={GCS_RETRY_SECONDS}"


def open_stored(file: InputFile, head: bytes = b"") -> BinaryIO:
    """Open a stored file without unpacking it.

    Args:
        file: The file.
        head: The beginning of a remote file, if the caller has it.

    Raises:
        InputError: The file vanished or cannot be read.
    """
    with reading_errors(file):
        if file.root:
            remote = file_system(file.root)[0].open_input_file(file.location)
            return io.BufferedReader(RemoteFile(remote, head), FIRST_REQUEST)
        return open(file.location, "rb")


def stored_state(file: InputFile) -> tuple[int, int]:
    """Return size and modification time (ns) of a stored file.

    Raises:
        InputError: The file vanished or cannot be read.
    """
    with reading_errors(file):
        if not file.root:
            state = os.stat(file.location)
            return state.st_size, state.st_mtime_ns
        info = file_system(file.root)[0].get_file_info(file.location)
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError
        return info.size, info.mtime_ns or 0


@contextmanager
def reading_errors(file: InputFile) -> Iterator[None]:
    """Turn exceptions of the operating system or an object store into an ``InputError``.

    The error names the path that the person typed, never a file below it.
    """
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
        raise file.error(
            f"cannot be read ({why})", "Check its storage, then run the command again."
        ) from None


class Opener:
    """Opens contents one after the other and keeps the last archive open for its next member.

    Examples:
        >>> with Opener() as opener, opener.open(file) as content:  # doctest: +SKIP
        ...     content.read(4)
        b'MSH|'
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._archive_key: tuple[str, str, tuple[int, ...]] | None = None
        self._archive: Archive | None = None
        self._last_remote: tuple[tuple[str, str, int, int], RemoteFile] | None = None

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
        """Return the archive at a path of members (without members the stored file itself).

        Raises:
            BrokenContent: The archive is damaged or encrypted.
        """
        key = (file.root, file.location, members)
        if self._archive is None or self._archive_key != key:
            self._stack.close()
            self._archive = None
            stream: Any = self._stack.enter_context(open_stored(file))
            with packing_errors():
                archive = self._stack.enter_context(open_archive(stream))
                for position in members:
                    inner = self._stack.enter_context(archive.open(position))
                    archive = self._stack.enter_context(open_archive(inner))
            self._archive, self._archive_key = archive, key
        return self._archive

    def raw(self, file: InputFile) -> BinaryIO:
        """Open a stored file or archive member without taking gzip off."""
        if not file.members:
            return self._open_stored(file)
        archive = self.archive(file, file.members[:-1])
        with packing_errors():
            return archive.open(file.members[-1])

    def _open_stored(self, file: InputFile) -> BinaryIO:
        """Open a stored file; reuse the beginning of a remote one that was the last to open."""
        state = (file.root, file.location, file.stored_size, file.modified)
        head = (
            self._last_remote[1].head
            if self._last_remote is not None and self._last_remote[0] == state
            else b""
        )
        stream = open_stored(file, head)
        raw = getattr(stream, "raw", None)
        self._last_remote = (state, raw) if isinstance(raw, RemoteFile) else None
        return stream

    def open(self, file: InputFile, hasher: Hasher | None = None) -> Content:
        """Open the unpacked content of a file."""
        return Content(file, self.raw(file), hasher)


_PACKING_EXCEPTIONS = (
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
def packing_errors() -> Iterator[None]:
    """Turn exceptions of the packing libraries on damaged bytes into ``BrokenContent``."""
    try:
        yield
    except EOFError:
        raise TruncatedContent from None
    except _PACKING_EXCEPTIONS:
        raise BrokenContent from None


class _TruncatedGzip(io.RawIOBase):
    """Content of a gzip file whose end is missing, as far as it goes."""

    def __init__(self, gzip_file: gzip.GzipFile) -> None:
        super().__init__()
        self._gzip_file = gzip_file

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer by one read of the gzip file; return 0 where its end is missing."""
        try:
            data = self._gzip_file.read1(len(buffer))
        except EOFError:
            return 0
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the gzip file."""
        self._gzip_file.close()
        super().close()


class Content(io.RawIOBase):
    """The unpacked content as a binary stream, seekable only when it is plain.

    The hasher takes every byte the first time that reading in order reaches it. So ``digest``
    tells whether a parser read what discovery identified. ``failure`` keeps the first error of
    the storage below, even when a parser swallows it.
    """

    def __init__(self, file: InputFile, stream: BinaryIO, hasher: Hasher | None) -> None:
        super().__init__()
        self.file = file
        self.failure: Exception | None = None
        self.n_hashed = 0
        self._hasher = hasher
        self._open_stored = stream
        self._inner: Any = stream
        if file.packing in (GZIP, TRUNCATED):
            self._inner = gzip.GzipFile(fileobj=stream)
        if file.packing == TRUNCATED:
            self._inner = _TruncatedGzip(self._inner)
        self._position = 0
        self._is_plain = file.packing == PLAIN and not file.members

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether going back is cheap, which is so only for plain content."""
        return self._is_plain

    def tell(self) -> int:
        """Return the position in the unpacked content."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position of the unpacked content."""
        if not self._is_plain:
            raise io.UnsupportedOperation("seek")
        self._position = self._inner.seek(offset, whence)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as the content reaches."""
        view = memoryview(buffer).cast("B")
        filled = 0
        try:
            with reading_errors(self.file), packing_errors():
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
        """Close the content and the streams below it."""
        if not self.closed:
            self._inner.close()
            self._open_stored.close()
        super().close()

    @property
    def is_complete(self) -> bool:
        """Whether the hasher has every byte that discovery counted."""
        return self._hasher is not None and self.n_hashed >= self.file.content_size

    def digest(self) -> str:
        """Return the digest of the whole content, after reading any bytes left at the end."""
        assert self._hasher is not None  # noqa: S101 - callers pass a hasher
        if self._is_plain:
            self.seek(self.n_hashed)
        buffer = bytearray(CHUNK)
        while self.readinto(buffer):
            pass
        return self._hasher.hexdigest()


def buffered(content: Content, size: int) -> io.BufferedReader:
    """Return a content as the buffered stream that formats read; its end closes the content."""
    return io.BufferedReader(cast(Any, content), size)

"""Opens zip, tar and gzipped tar archives as lists of members that open as streams."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Protocol, Self, cast

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
TAR_MAGIC, TAR_OFFSET = b"ustar", 257
HEAD_BYTES = 4096
"""Bytes from the beginning of a file that tell whether it is an archive, also inside gzip."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: Path inside the archive; may identify a person, so nothing prints it.
        size: Bytes of its content.
        packed_size: Bytes that it takes in the archive.
        checksum: Checksum of the content in the archive.
        is_file: Whether it has content, that is, is neither a folder nor a link.
    """

    name: str
    size: int
    packed_size: int
    checksum: int
    is_file: bool


class Archive(Protocol):
    """An open archive; the stream below stays open when it closes."""

    members: list[Member]

    def open(self, position: int) -> BinaryIO:
        """Return the content of the member at a position of ``members``."""
        ...

    def __enter__(self) -> Self:
        """Return the archive."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the archive."""
        ...


def is_archive(head: bytes) -> bool:
    r"""Return whether a file that begins with these bytes is an archive.

    Examples:
        >>> is_archive(b"PK\x03\x04..."), is_archive(b"MSH|^~")
        (True, False)
    """
    return head.startswith(ZIP_MAGIC) or _is_tar(head)


def _is_tar(head: bytes) -> bool:
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 512)
        except zlib.error:
            return False
    return head[TAR_OFFSET : TAR_OFFSET + len(TAR_MAGIC)] == TAR_MAGIC


def open_archive(stream: BinaryIO) -> Archive:
    """Open the archive in a seekable stream.

    Raises:
        zipfile.BadZipFile: The stream holds a damaged zip archive, or none.
        tarfile.TarError: The stream holds a damaged tar archive.
    """
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    return _Tar(stream, head.startswith(GZIP_MAGIC)) if _is_tar(head) else _Zip(stream)


class _Zip:
    def __init__(self, stream: BinaryIO) -> None:
        self._archive = zipfile.ZipFile(stream)
        self._infos = self._archive.infolist()
        self.members = [
            Member(i.filename, i.file_size, i.compress_size, i.CRC, not i.is_dir())
            for i in self._infos
        ]

    def open(self, position: int) -> BinaryIO:
        return cast(BinaryIO, self._archive.open(self._infos[position]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()


class _Tar:
    """A tar archive; reading members in order unpacks each byte of a gzipped one only once."""

    def __init__(self, stream: BinaryIO, is_gzip: bool) -> None:
        tar_stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if is_gzip else stream
        self._archive = tarfile.TarFile(fileobj=tar_stream)
        self._infos = self._archive.getmembers()
        self.members = [Member(i.name, i.size, i.size, i.chksum, i.isreg()) for i in self._infos]

    def open(self, position: int) -> BinaryIO:
        content = self._archive.extractfile(self._infos[position])
        if content is None:
            raise tarfile.ReadError
        return cast(BinaryIO, content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

"""Archives as lists of members that open as streams: zip, tar, and tar in gzip."""

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
TAR_MAGIC, TAR_AT = b"ustar", 257
HEAD_BYTES = 4096
"""How much of a file's beginning tells whether it is an archive, gzip taken off."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: Its path inside the archive; identifies someone, so it is never printed.
        size: Bytes of its content.
        packed: Bytes that it takes in the archive.
        check: Checksum that the archive keeps of it.
        is_file: Whether it has content: neither a folder nor a link.
    """

    name: str
    size: int
    packed: int
    check: int
    is_file: bool


class Archive(Protocol):
    """An open archive; closing it leaves the stream below open."""

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
        """Close it."""
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
    return head[TAR_AT : TAR_AT + len(TAR_MAGIC)] == TAR_MAGIC


def open_archive(stored: BinaryIO) -> Archive:
    """Return the archive in a stream that can seek.

    Raises:
        zipfile.BadZipFile: It is damaged, or none.
        tarfile.TarError: It is damaged.
    """
    head = stored.read(HEAD_BYTES)
    stored.seek(0)
    return _Tar(stored, head.startswith(GZIP_MAGIC)) if _is_tar(head) else _Zip(stored)


class _Zip:
    def __init__(self, stored: BinaryIO) -> None:
        self._archive = zipfile.ZipFile(stored)
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
    """Members are read in their order, so that of a packed archive each byte is unpacked once."""

    def __init__(self, stored: BinaryIO, packed: bool) -> None:
        plain = cast(BinaryIO, gzip.GzipFile(fileobj=stored)) if packed else stored
        self._archive = tarfile.TarFile(fileobj=plain)
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

"""Access to the files of a warehouse, on a disk or in an object store, by their full location.

A location is an absolute path or a URI (``s3://bucket/warehouse/...``). ``Files`` reads, lists,
deletes and replaces. Replacing is atomic in both: by rename on a disk, by a single put in a
store.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs as pafs

from lakehouse.errors import WarehouseError


@dataclass(frozen=True)
class Entry:
    """One file of a listing.

    Attributes:
        location: Full location; begins with the folder as the caller spelled it.
        size: Bytes.
        modified: Seconds since the epoch, by the clock of the disk or store.
    """

    location: str
    size: int
    modified: float


def is_local(location: str) -> bool:
    """Return whether a location is on a disk of this machine.

    Examples:
        >>> is_local("/data/warehouse"), is_local("s3://bucket/warehouse")
        (True, False)
    """
    return "://" not in location or location.startswith("file://")


def normalise(location: str | os.PathLike[str]) -> str:
    """Return an absolute path without a trailing slash, or the URI without one.

    Raises:
        WarehouseError: The location is empty (a dot names the current folder).

    Examples:
        >>> normalise("s3://bucket/warehouse/")
        's3://bucket/warehouse'
        >>> normalise("file:///data/my%20warehouse")
        '/data/my warehouse'
    """
    text = os.fspath(location)
    if not text.strip():
        raise WarehouseError("The path of the warehouse is empty.", "Name a folder or a URI.")
    if not is_local(text):
        return text.rstrip("/")
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    return os.path.abspath(os.path.expanduser(text))


def join(*parts: str) -> str:
    """Join the parts of a location with slashes."""
    return "/".join(p.rstrip("/") if i == 0 else p.strip("/") for i, p in enumerate(parts))


def store_properties() -> dict[str, str]:
    """Return endpoint and region of AWS's environment variables as properties of pyiceberg."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    properties = {"s3.endpoint": endpoint, "s3.region": region}
    return {k: v for k, v in properties.items() if v}


@dataclass(frozen=True)
class Files:
    """Reads, writes, lists and deletes files by location; travels to workers.

    Attributes:
        properties: Properties of pyiceberg's FileIO (``s3.endpoint`` ...). They may hold
            credentials, so nothing prints them.
    """

    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    def open(self, location: str) -> tuple[pafs.FileSystem, str]:
        """Return the file system of a location and the path inside it."""
        if is_local(location):
            return pafs.LocalFileSystem(), normalise(location)
        # A worker that writes to a disk needs no pyiceberg, whose import takes a second.
        from pyiceberg.io.pyarrow import PyArrowFileIO

        io = PyArrowFileIO({**store_properties(), **self.properties})
        try:
            scheme, netloc, path = io.parse_location(location, io.properties)
            return io.fs_by_scheme(scheme, netloc), path
        except ValueError as error:
            raise WarehouseError(
                f"{location.split('://')[0]}:// is no storage that this installation can open.",
                "Use a folder, or s3://, gs://, abfs:// or hdfs://.",
            ) from error

    def read(self, location: str) -> bytes | None:
        """Return the content of a file, or None when the file does not exist."""
        if is_local(location):
            try:
                return Path(normalise(location)).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        filesystem, path = self.open(location)
        try:
            with filesystem.open_input_stream(path) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def replace(self, location: str, data: bytes, *, durable: bool = True) -> None:
        """Write a file so that a reader sees the old content or the new, never a part.

        Args:
            location: The file; a missing folder is created.
            data: All of its new content.
            durable: Return only when the replacement survives a power cut. Otherwise the old
                content may come back, but never a broken file.
        """
        if not is_local(location):
            filesystem, path = self.open(location)
            with filesystem.open_output_stream(path) as stream:
                stream.write(data)
            return
        target = Path(normalise(location))
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            with draft.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        if durable:
            sync(str(target))

    def exists(self, location: str) -> bool:
        """Return whether a file exists."""
        if is_local(location):
            return os.path.isfile(normalise(location))
        filesystem, path = self.open(location)
        return bool(filesystem.get_file_info(path).type == pafs.FileType.File)

    def delete(self, location: str) -> bool:
        """Delete a file; return False when it did not exist."""
        if is_local(location):
            try:
                os.unlink(normalise(location))
            except FileNotFoundError:
                return False
            return True
        filesystem, path = self.open(location)
        try:
            filesystem.delete_file(path)
        except FileNotFoundError:
            return False
        return True

    def delete_empty(self, folder: str) -> None:
        """Delete a folder if it is empty; an object store has no folders to delete."""
        if is_local(folder):
            with suppress(OSError):
                os.rmdir(normalise(folder))

    def list(self, folder: str, *, recursive: bool = True) -> list[Entry]:
        """Return the files below a folder, sorted by location; an absent folder has none."""
        filesystem, path = self.open(folder)
        selector = pafs.FileSelector(path, allow_not_found=True, recursive=recursive)
        entries = [
            Entry(folder + info.path[len(path) :], info.size, (info.mtime_ns or 0) / 1e9)
            for info in filesystem.get_file_info(selector)
            if info.type == pafs.FileType.File
        ]
        return sorted(entries, key=lambda e: e.location)

    @contextmanager
    def output(self, location: str) -> Iterator[pa.NativeFile]:
        """Open a new file for writing that is durable once closed; create its folder if missing."""
        filesystem, path = self.open(location)
        if is_local(location):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with filesystem.open_output_stream(path) as stream:
            yield stream
        if is_local(location):
            sync(path)


def sync(path: str) -> None:
    """Make a new file on a disk survive a power cut: first its content, then its name."""
    for part in (path, os.path.dirname(path)):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

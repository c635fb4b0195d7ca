"""Files of a warehouse, on a disk or in an object store, by their full location.

A location is an absolute path or a URI (``s3://bucket/warehouse/...``). One class reads, lists,
deletes and replaces; replacing is atomic in both worlds: by rename on a disk, by the object's
single put in a store.
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
    """One file found by a listing.

    Attributes:
        location: Full location, spelled as the folder that was listed.
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
        WarehouseError: It is empty; the folder at hand is named by a dot.

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


def environment() -> dict[str, str]:
    """Return where AWS's own variables say that the object store is, as pyiceberg names it."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = {"s3.endpoint": endpoint, "s3.region": region}
    return {k: v for k, v in found.items() if v}


@dataclass(frozen=True)
class Files:
    """Access to locations; travels to workers.

    Attributes:
        properties: Properties of pyiceberg's FileIO (``s3.endpoint`` ...); may hold credentials,
            so they are never shown.
    """

    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    def open(self, location: str) -> tuple[pafs.FileSystem, str]:
        """Return the file system of a location and the path inside it."""
        if is_local(location):
            return pafs.LocalFileSystem(), normalise(location)
        # Imported here: a worker that writes to a disk does without pyiceberg, whose import
        # costs a second.
        from pyiceberg.io.pyarrow import PyArrowFileIO

        io = PyArrowFileIO({**environment(), **self.properties})
        try:
            scheme, netloc, path = io.parse_location(location, io.properties)
            return io.fs_by_scheme(scheme, netloc), path
        except ValueError as error:
            raise WarehouseError(
                f"{location.split('://')[0]}:// is no storage that this installation can open.",
                "Use a folder, or s3://, gs://, abfs:// or hdfs://.",
            ) from error

    def read(self, location: str) -> bytes | None:
        """Return the content of a file, or None when there is none."""
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
            location: The file; its folder is made when missing.
            data: All of its new content.
            durable: Return only when the replacement itself would survive a power cut; without
                it the old content may come back, but never a broken file.
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
        """Return whether there is a file at a location."""
        if is_local(location):
            return os.path.isfile(normalise(location))
        filesystem, path = self.open(location)
        return bool(filesystem.get_file_info(path).type == pafs.FileType.File)

    def delete(self, location: str) -> bool:
        """Delete a file; return False when there was none."""
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
        """Delete a folder if nothing is in it; an object store has none to delete."""
        if is_local(folder):
            with suppress(OSError):
                os.rmdir(normalise(folder))

    def list(self, folder: str, *, recursive: bool = True) -> list[Entry]:
        """Return the files below a folder, sorted; none when the folder does not exist."""
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
        """Open a new file for writing, durable when it is closed; makes its folder if missing."""
        filesystem, path = self.open(location)
        if is_local(location):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with filesystem.open_output_stream(path) as stream:
            yield stream
        if is_local(location):
            sync(path)


def sync(path: str) -> None:
    """Make a new file of this disk survive a power cut: its content, then its name."""
    for part in (path, os.path.dirname(path)):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

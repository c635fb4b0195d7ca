"""Medical formats: the contract, and how they are found.

A format is one module (or package) in this folder that exposes ``FORMAT``. Others register the
same kind of object under the entry-point group ``lakehouse.formats``. No list names them.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import BinaryIO, Protocol, runtime_checkable

from lakehouse.batch import RawBatch, Source
from lakehouse.errors import UserError, did_you_mean

SNIFF_BYTES = 4096
"""How much of a file's beginning ``sniff`` is shown (decompressed)."""


@runtime_checkable
class Format(Protocol):
    """A medical format: knows how to recognise and parse files, and nothing of Ray or Iceberg.

    Attributes:
        name: CLI name, extra and doc page (``"hl7v2"``).
        extensions: Usual file extensions with the dot, lower-case; a hint only.
        doc: What it reads, one sentence.
        main_table: Table that ``HL7Datasource`` and its kin yield by default: ``records``, one row
            for each message or object, unless another is what a person counts.
    """

    name: str
    extensions: tuple[str, ...]
    doc: str
    main_table: str

    def sniff(self, head: bytes) -> bool:
        """Return whether a file beginning with these bytes is of this format."""
        ...

    def parse(self, stream: BinaryIO, source: Source) -> Iterator[RawBatch]:
        """Yield bounded batches; memory follows the batch, never the file.

        ``stream`` is seekable when the file is stored uncompressed on a disk or object store,
        else sequential. A bad record becomes a ``Reject`` in the batch; only a fault that makes
        the rest of the file unreadable ends the iteration, itself as a Reject of ordinal -1.
        """
        ...


@runtime_checkable
class ManyFilesFormat(Format, Protocol):
    """What a format of many small files may offer besides; both are optional for the others.

    A file of such a format is one record of some kilobytes of header. Tables of one row each
    would cost more than the parsing, and a keyed digest of the whole file would read the pixels.
    """

    def fingerprint(self, stream: BinaryIO, size: int | None) -> bytes | None:
        """Return the bytes that stand for the content in the ledger, or None: take the content.

        The stream stands at the beginning and is left anywhere. Two files with the same
        fingerprint and the same size give the same rows.
        """
        ...

    def parse_many(self, files: Iterable[tuple[BinaryIO, Source]]) -> Iterator[RawBatch]:
        """Yield bounded batches that hold several files each.

        Every ``Reject`` names its ``file_id`` and ``RawBatch.by_file`` counts records by it.
        A stream is done with when the next one is asked for. Rows are the same as those of
        ``parse``, file by file.
        """
        ...


@runtime_checkable
class IndexFormat(Format, Protocol):
    """What a format offers besides when some of its files are an index of others."""

    def references(self, stream: BinaryIO) -> list[tuple[str, ...]]:
        """Return the files that an index names, each as the parts of its path from there."""
        ...


@cache
def formats() -> dict[str, Format]:
    """Return every format by name: those of this folder, then those of entry points."""
    found: dict[str, Format] = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            loaded = import_module(f"{__name__}.{module.name}")
            if hasattr(loaded, "FORMAT"):
                found[loaded.FORMAT.name] = loaded.FORMAT
    for entry in entry_points(group="lakehouse.formats"):
        plugin: Format = entry.load()
        found.setdefault(plugin.name, plugin)
    return found


def format_named(name: str) -> Format:
    """Return a format by its name.

    Raises:
        UserError: No format has this name.
    """
    try:
        return formats()[name]
    except KeyError:
        raise UserError(
            f"There is no format named {name}.",
            did_you_mean(name, formats()) or "See `lakehouse formats`.",
        ) from None


def recognise(head: bytes, extension: str = "") -> Format | None:
    """Return the format whose content this is, or None; the extension breaks ties only."""
    hits = [f for f in formats().values() if _sniffs(f, head)]
    hits.sort(key=lambda f: extension.lower() not in f.extensions)
    return hits[0] if hits else None


def _sniffs(known: Format, head: bytes) -> bool:
    try:
        return known.sniff(head)
    except Exception:  # a format that stumbles over foreign bytes does not know them
        return False


def public_name(name: str) -> str:
    """Return the name of a format's family as its Ray classes bear it.

    Examples:
        >>> public_name("hl7v2"), public_name("dicom")
        ('HL7', 'DICOM')
    """
    return re.sub(r"v\d+$", "", name).upper()

"""Reads and writes ``metadata/version-hint.text``, by which DuckDB finds a table's newest snapshot.

The hint holds the stem of the current metadata file, and every write replaces it atomically.
Writers race: a slower one may write an older stem. So a writer writes the catalog's answer and
asks again until both agree; the last one to finish leaves the newest.
"""

from __future__ import annotations

from pyiceberg.table import Table

from lakehouse.storage.io.files import Files, join

_SUFFIX = ".metadata.json"


def hint_location(table_location: str) -> str:
    """Return the location of a table's version hint."""
    return join(table_location, "metadata", "version-hint.text")


def metadata_stem(metadata_location: str) -> str:
    """Return the stem of a metadata file's name, which is what the hint holds.

    Examples:
        >>> metadata_stem("/data/wh/tables/orders/metadata/00003-ab.metadata.json")
        '00003-ab'
    """
    return metadata_location.rsplit("/", 1)[-1].removesuffix(_SUFFIX)


def read_stem(files: Files, table_location: str) -> str | None:
    """Return the stem that a table's hint holds, or None when there is no hint."""
    content = files.read(hint_location(table_location))
    return content.decode() if content is not None else None


def refresh_hint(files: Files, table: Table, *, locked: bool = False) -> bool:
    """Make the hint of a table name the metadata file that the catalog names.

    Args:
        files: Access to the storage.
        table: The table as just committed or loaded.
        locked: The caller holds the commit lock, so one look at the catalog is enough.

    Returns:
        Whether the hint was stale.
    """
    changed = False
    while True:
        expected = metadata_stem(table.metadata_location)
        if read_stem(files, table.location()) == expected:
            return changed
        files.replace(hint_location(table.location()), expected.encode(), durable=False)
        if locked:
            return True
        changed = True
        table.refresh()

"""``metadata/version-hint.text``: how DuckDB finds the newest snapshot of a table.

It holds the stem of the current metadata file and is replaced atomically. Writers race: one that
is slower may hold an older stem. So the catalog's own answer is written, then asked for again,
until both agree; the last writer to finish leaves the newest.
"""

from __future__ import annotations

from pyiceberg.table import Table

from lakehouse.storage.io.files import Files, join

_SUFFIX = ".metadata.json"


def hint_location(table_location: str) -> str:
    """Return where a table's hint is."""
    return join(table_location, "metadata", "version-hint.text")


def stem(metadata_location: str) -> str:
    """Return what the hint says of a metadata file.

    Examples:
        >>> stem("/data/wh/tables/orders/metadata/00003-ab.metadata.json")
        '00003-ab'
    """
    return metadata_location.rsplit("/", 1)[-1].removesuffix(_SUFFIX)


def current(files: Files, table_location: str) -> str | None:
    """Return the stem that a table's hint holds, or None when it has none."""
    held = files.read(hint_location(table_location))
    return held.decode() if held is not None else None


def refresh(files: Files, table: Table, *, locked: bool = False) -> bool:
    """Make the hint of a table say what the catalog says.

    Args:
        files: Access to the storage.
        table: The table as just committed or loaded.
        locked: No other process commits meanwhile, so the catalog need not be asked again.

    Returns:
        Whether it had to be changed.
    """
    changed = False
    while True:
        wanted = stem(table.metadata_location)
        if current(files, table.location()) == wanted:
            return changed
        files.replace(hint_location(table.location()), wanted.encode(), durable=False)
        if locked:
            return True
        changed = True
        table.refresh()

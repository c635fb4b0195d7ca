"""What a warehouse holds, for those who prove things about it: no change is made here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lakehouse.storage import garbage, hints
from lakehouse.storage.integrity import references
from lakehouse.storage.warehouse import Warehouse


@dataclass(frozen=True)
class TableState:
    """One table as it lies in the storage.

    Attributes:
        name: Its name.
        rows: Rows of the current snapshot.
        data_files: Every data file that some snapshot refers to.
        missing: Files that it refers to and that are not there.
        orphans: Files in its folder that nothing refers to and nobody has noted for deletion.
        hint_current: The version hint names the current metadata.
        properties: Its Iceberg properties.
    """

    name: str
    rows: int
    data_files: tuple[str, ...]
    missing: tuple[str, ...]
    orphans: tuple[str, ...]
    hint_current: bool
    properties: Mapping[str, str]


def inspect_table(warehouse: Warehouse, name: str) -> TableState:
    """Return the state of one table."""
    table = warehouse.iceberg(name)
    used = references(table)
    listed = {e.location for e in warehouse.files.list(table.location())}
    known = garbage.noted(warehouse)
    unused = garbage.find(warehouse, name, known, float("inf")).waiting
    snapshot = table.current_snapshot()
    rows = (
        int(snapshot.summary.get("total-records", 0) or 0) if snapshot and snapshot.summary else 0
    )
    return TableState(
        name,
        rows,
        tuple(sorted(used.data)),
        tuple(sorted(used.all() - listed)),
        tuple(sorted(e.location for e in unused if e.location not in known)),
        hints.current(warehouse.files, table.location()) == hints.stem(table.metadata_location),
        dict(table.properties),
    )


def contents(warehouse: Warehouse) -> Iterator[tuple[str, bytes]]:
    """Yield every file of the warehouse: its path below the root, and its bytes."""
    for entry in warehouse.files.list(warehouse.path):
        data = warehouse.files.read(entry.location)
        if data is not None:  # else it went while we looked
            yield entry.location[len(warehouse.path) + 1 :], data

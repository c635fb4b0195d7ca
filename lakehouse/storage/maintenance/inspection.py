"""What a warehouse holds, for those who prove things about it: no change is made here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import dirname

from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable

from lakehouse.storage.commits.references import References
from lakehouse.storage.maintenance import orphan_files
from lakehouse.storage.maintenance.row_erasure import plan_location
from lakehouse.storage.metadata import version_hints
from lakehouse.storage.transactions import leases
from lakehouse.storage.warehouse import Warehouse


@dataclass(frozen=True)
class ManifestFacts:
    """What a manifest says of a data file.

    Attributes:
        rows: Its rows.
        size: Its bytes.
        current: The current snapshot refers to it.
    """

    rows: int
    size: int
    current: bool


@dataclass(frozen=True)
class TableState:
    """One table as it lies in the storage.

    Attributes:
        name: Its name.
        rows: Rows of the current snapshot, as its summary says.
        data_files: Every data file that some snapshot refers to, by location.
        missing: Files that it refers to and that are not there.
        damaged: Metadata, manifest lists and manifests that are there and cannot be read.
        orphans: Files in its folder that nothing refers to and nobody has noted for deletion;
            unknown, and so none, while metadata is missing or damaged.
        hint_current: The version hint names the current metadata.
        properties: Its Iceberg properties.
    """

    name: str
    rows: int = 0
    data_files: Mapping[str, ManifestFacts] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    hint_current: bool = True
    properties: Mapping[str, str] = field(default_factory=dict)


def inspect_table(warehouse: Warehouse, name: str) -> TableState:
    """Return the state of one table, however damaged it is."""
    try:
        table = warehouse.iceberg(name)
    except Exception:  # of whatever kind: pyiceberg has no error of its own for broken metadata
        return TableState(name, damaged=(warehouse.location(name) + "/metadata",))
    used, stated, unread = _reachable(table)
    listed = {e.location for e in warehouse.files.list(table.location())}
    missing = used.all() - listed
    orphans: list[str] = []
    if not unread and not missing & (used.lists | used.manifests):
        known = orphan_files.pending_orphans(warehouse)
        unused = orphan_files.find_orphans(warehouse, name, known, float("inf")).waiting
        orphans = [e.location for e in unused if e.location not in known]
    snapshot = table.current_snapshot()
    summary = snapshot.summary if snapshot is not None else None
    return TableState(
        name,
        int(summary.get("total-records", 0) or 0) if summary is not None else 0,
        stated,
        tuple(sorted(missing)),
        tuple(sorted(unread - missing)),
        tuple(sorted(orphans)),
        version_hints.current(warehouse.files, table.location())
        == version_hints.stem(table.metadata_location),
        dict(table.properties),
    )


def _reachable(table: IcebergTable) -> tuple[References, dict[str, ManifestFacts], set[str]]:
    """Return what can be reached from any snapshot, and what could not be read on the way."""
    found, stated, unread = References(), dict[str, ManifestFacts](), set[str]()
    found.metadata.add(table.metadata_location)
    found.metadata.update(e.metadata_file for e in table.metadata.metadata_log)
    found.metadata.add(version_hints.hint_location(table.location()))
    for snapshot in table.metadata.snapshots:
        current = snapshot.snapshot_id == table.metadata.current_snapshot_id
        found.lists.add(snapshot.manifest_list)
        place = snapshot.manifest_list
        try:
            for manifest in snapshot.manifests(table.io):
                place = manifest.manifest_path
                found.manifests.add(place)
                for entry in manifest.fetch_manifest_entry(table.io):
                    file: DataFile = entry.data_file
                    known = stated.get(file.file_path)
                    stated[file.file_path] = ManifestFacts(
                        file.record_count,
                        file.file_size_in_bytes,
                        (known is not None and known.current)
                        or (current and entry.status.name != "DELETED"),
                    )
        except Exception:  # a broken Avro file can break its reader in many ways
            unread.add(place)
    found.data.update(stated)
    return found, stated, unread


def contents(warehouse: Warehouse) -> Iterator[tuple[str, bytes]]:
    """Yield every file of the warehouse: its path below the root, and its bytes."""
    for entry in warehouse.files.list(warehouse.path):
        data = warehouse.files.read(entry.location)
        if data is not None:  # else it went while we looked
            yield relative(warehouse, entry.location), data


def relative(warehouse: Warehouse, location: str) -> str:
    """Return the path of a file below the root of the warehouse."""
    return location.removeprefix(warehouse.path + "/")


_OWN = re.compile(
    r"lakehouse\.json|catalog\.db(-\w+)?|cohorts/.+"
    r"|state/((attempts|releases)/.+|\w+\.lock|(unused|forget)\.json)"
    r"|shell/(as-of/[0-9a-f]+/)?(init\.sql|pins\.json|views(-[0-9a-f]+)?\.duckdb(\.wal)?)"
    r"|(.+/)?\.[^/]+\.[0-9a-f]{32}\.tmp"  # drafts, on their way to their names
    r"|shell/(.+/)?\.(views|init).+"
)
_OF_TABLE = re.compile(
    r"tables/(?P<table>\w+)/(data/[0-9a-f]{13}-[0-9a-f]{12}/[\w.-]+\.parquet"
    r"|metadata/([0-9a-f.-]+\.metadata\.json|(snap-[\d-]+)?[0-9a-fm-]+\.avro|version-hint\.text))"
)


def own_name(path: str) -> bool:
    """Return whether a path below the root is one that the software gives; such tell nothing."""
    return (_OWN.fullmatch(path) or _OF_TABLE.fullmatch(path)) is not None


def unknown_files(warehouse: Warehouse) -> dict[str, int]:
    """Count the files that are no part of the warehouse, by the deepest own folder above them.

    They themselves are not named: whoever put them there may have named them after a patient.
    What lies in the folders of a table and is not referred to is an orphan, and not counted here.
    """
    tables = tuple(f"tables/{t}" for t in warehouse.tables())
    inside = tuple(f"{t}/{kind}/" for t in tables for kind in ("data", "metadata"))
    folders = {"", "tables", "state", "shell", "cohorts", *tables}
    found: dict[str, int] = {}
    for entry in warehouse.files.list(warehouse.path):
        path = relative(warehouse, entry.location)
        if not path.startswith(inside) and not _OWN.fullmatch(path):
            above = dirname(path)
            while above not in folders:
                above = dirname(above)
            found[above] = found.get(above, 0) + 1
    return found


@dataclass(frozen=True)
class Unfinished:
    """Work that is going on, or that was cut off.

    Attributes:
        running: Ingests, erasures and maintenance at work now.
        interrupted: Such whose process has died.
        erasing: The erasure of a patient has begun and is not done.
    """

    running: int
    interrupted: int
    erasing: bool


def unfinished(warehouse: Warehouse) -> Unfinished:
    """Return what is under way."""
    found = list(leases.attempts(warehouse.files, warehouse.attempts))
    alive = [a for a in found if leases.alive(warehouse.files, warehouse.attempts, a)]
    return Unfinished(
        len(alive), len(found) - len(alive), warehouse.files.exists(plan_location(warehouse))
    )

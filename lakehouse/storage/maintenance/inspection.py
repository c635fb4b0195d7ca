"""Reports what a warehouse holds, for ``verification``; changes nothing."""

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
    """What a manifest states about a data file.

    Attributes:
        rows: Number of rows.
        size: Bytes.
        is_current: Whether the current snapshot refers to the file.
    """

    rows: int
    size: int
    is_current: bool


@dataclass(frozen=True)
class TableState:
    """State of one table in the storage.

    Attributes:
        name: Name of the table.
        rows: Rows of the current snapshot, by its summary.
        data_files: Every data file that some snapshot refers to, by location.
        missing_files: Files that the table refers to and that do not exist.
        damaged_files: Metadata, manifest lists and manifests that exist and cannot be read.
        orphans: Files in its folder that nothing refers to and that await no deletion; empty
            while metadata is missing or damaged, since they are then unknown.
        hint_current: Whether the version hint names the current metadata.
        properties: Iceberg properties of the table.
    """

    name: str
    rows: int = 0
    data_files: Mapping[str, ManifestFacts] = field(default_factory=dict)
    missing_files: tuple[str, ...] = ()
    damaged_files: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    hint_current: bool = True
    properties: Mapping[str, str] = field(default_factory=dict)


def inspect_table(warehouse: Warehouse, name: str) -> TableState:
    """Return the state of one table, however damaged it is."""
    try:
        table = warehouse.iceberg(name)
    except Exception:  # pyiceberg has no error of its own for broken metadata
        return TableState(name, damaged_files=(warehouse.location(name) + "/metadata",))
    references, data_files, unreadable = _read_references(table)
    present = {e.location for e in warehouse.files.list(table.location())}
    absent = references.all() - present
    orphans: list[str] = []
    if not unreadable and not absent & (references.lists | references.manifests):
        pending = orphan_files.pending_orphans(warehouse)
        unused = orphan_files.find_orphans(warehouse, name, pending, float("inf")).waiting
        orphans = [e.location for e in unused if e.location not in pending]
    snapshot = table.current_snapshot()
    summary = snapshot.summary if snapshot is not None else None
    return TableState(
        name,
        int(summary.get("total-records", 0) or 0) if summary is not None else 0,
        data_files,
        tuple(sorted(absent)),
        tuple(sorted(unreadable - absent)),
        tuple(sorted(orphans)),
        version_hints.read_stem(warehouse.files, table.location())
        == version_hints.metadata_stem(table.metadata_location),
        dict(table.properties),
    )


def _read_references(table: IcebergTable) -> tuple[References, dict[str, ManifestFacts], set[str]]:
    """Return the files that any snapshot refers to, and those that could not be read for it."""
    references, data_files, unreadable = References(), dict[str, ManifestFacts](), set[str]()
    references.metadata.add(table.metadata_location)
    references.metadata.update(e.metadata_file for e in table.metadata.metadata_log)
    references.metadata.add(version_hints.hint_location(table.location()))
    for snapshot in table.metadata.snapshots:
        current = snapshot.snapshot_id == table.metadata.current_snapshot_id
        references.lists.add(snapshot.manifest_list)
        location = snapshot.manifest_list
        try:
            for manifest in snapshot.manifests(table.io):
                location = manifest.manifest_path
                references.manifests.add(location)
                for entry in manifest.fetch_manifest_entry(table.io):
                    file: DataFile = entry.data_file
                    earlier = data_files.get(file.file_path)
                    data_files[file.file_path] = ManifestFacts(
                        file.record_count,
                        file.file_size_in_bytes,
                        (earlier is not None and earlier.is_current)
                        or (current and entry.status.name != "DELETED"),
                    )
        except Exception:  # a damaged Avro file can make its reader raise anything
            unreadable.add(location)
    references.data.update(data_files)
    return references, data_files, unreadable


def file_contents(warehouse: Warehouse) -> Iterator[tuple[str, bytes]]:
    """Yield path below the root and bytes of every file of the warehouse."""
    for entry in warehouse.files.list(warehouse.path):
        data = warehouse.files.read(entry.location)
        if data is not None:  # another process may have deleted it since the listing
            yield relative_path(warehouse, entry.location), data


def relative_path(warehouse: Warehouse, location: str) -> str:
    """Return the path of a file below the root of the warehouse."""
    return location.removeprefix(warehouse.path + "/")


_OWN_PATH = re.compile(
    r"lakehouse\.json|catalog\.db(-\w+)?|cohorts/.+"
    r"|state/((attempts|releases)/.+|\w+\.lock|(unused|forget)\.json)"
    r"|shell/(as-of/[0-9a-f]+/)?(init\.sql|pins\.json|views(-[0-9a-f]+)?\.duckdb(\.wal)?)"
    r"|(.+/)?\.[^/]+\.[0-9a-f]{32}\.tmp"  # drafts of `Files.replace`
    r"|shell/(.+/)?\.(views|init).+"
)
_TABLE_PATH = re.compile(
    r"tables/(?P<table>\w+)/(data/[0-9a-f]{13}-[0-9a-f]{12}/[\w.-]+\.parquet"
    r"|metadata/([0-9a-f.-]+\.metadata\.json|(snap-[\d-]+)?[0-9a-fm-]+\.avro|version-hint\.text))"
)


def is_own_name(path: str) -> bool:
    """Return whether this software gives a path below the root; such a name tells nothing."""
    return (_OWN_PATH.fullmatch(path) or _TABLE_PATH.fullmatch(path)) is not None


def unknown_files(warehouse: Warehouse) -> dict[str, int]:
    """Count the files that are no part of the warehouse, by the deepest own folder above them.

    The result does not name them: a person may have named them after a patient. A file in the
    folders of a table that nothing refers to is an orphan and does not count here.
    """
    tables = tuple(f"tables/{t}" for t in warehouse.tables())
    inside = tuple(f"{t}/{kind}/" for t in tables for kind in ("data", "metadata"))
    folders = {"", "tables", "state", "shell", "cohorts", *tables}
    counts: dict[str, int] = {}
    for entry in warehouse.files.list(warehouse.path):
        path = relative_path(warehouse, entry.location)
        if not path.startswith(inside) and not _OWN_PATH.fullmatch(path):
            folder = dirname(path)
            while folder not in folders:
                folder = dirname(folder)
            counts[folder] = counts.get(folder, 0) + 1
    return counts


@dataclass(frozen=True)
class UnfinishedWork:
    """Work on a warehouse that is running, or that a kill interrupted.

    Attributes:
        running: Number of ingests, erasures and maintenance runs at work now.
        interrupted: Number of those whose process has died.
        erasing: Whether the erasure of a patient has begun and is not complete.
    """

    running: int
    interrupted: int
    erasing: bool


def unfinished_work(warehouse: Warehouse) -> UnfinishedWork:
    """Return the work that is running or was interrupted."""
    attempts = list(leases.list_attempts(warehouse.files, warehouse.attempts))
    alive = [a for a in attempts if leases.is_alive(warehouse.files, warehouse.attempts, a)]
    return UnfinishedWork(
        len(alive), len(attempts) - len(alive), warehouse.files.exists(plan_location(warehouse))
    )

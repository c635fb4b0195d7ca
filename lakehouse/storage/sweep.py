"""Removing what an attempt left behind: data files, and manifests that no commit used."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection

from lakehouse.storage.files import is_local, join
from lakehouse.storage.integrity import references
from lakehouse.storage.warehouse import Warehouse

TRIES = 12
"""How often a table's commit is tried against other writers before giving up."""

_VERSION = re.compile(r"/(\d+)-[0-9a-f-]{36}\.metadata\.json$")


def commit_id(attempt: str, table: str, number: int) -> uuid.UUID:
    """Return the id in the names of the manifests that one try to commit writes."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{attempt}/{table}/{number}")


def clear_data(
    warehouse: Warehouse, attempt: str, keep: Collection[str] = (), *, check: bool = False
) -> None:
    """Remove the data files of an attempt that are not to be kept.

    Args:
        warehouse: The warehouse.
        attempt: The attempt.
        keep: Locations of the files that were committed.
        check: Also keep what a table refers to, whatever the list says: the attempt was another
            process's, and no doubt about it may cost a row.
    """
    for table in warehouse.tables():
        folder = join(warehouse.location(table), "data", attempt)
        left = {f.location for f in warehouse.files.list(folder)} - set(keep)
        if check and left:
            left -= references(warehouse.iceberg(table)).data
        for location in left:
            warehouse.files.delete(location)
        if not any(k.startswith(folder + "/") for k in keep):
            warehouse.files.delete_empty(folder)


def sweep_metadata(warehouse: Warehouse, table: str, attempt: str) -> None:
    """Remove manifests and metadata files that a dead attempt wrote and never committed.

    Its manifests carry its id in their names. A metadata file carries none, but one whose number
    the table has reached can win no commit any more; and under the commit lock none is under way.
    """
    iceberg = warehouse.iceberg(table)
    folder = join(iceberg.location(), "metadata")
    named = {str(commit_id(attempt, table, n)) for n in range(TRIES)}
    logged = {iceberg.metadata_location, *(e.metadata_file for e in iceberg.metadata.metadata_log)}
    reached_number = _number(iceberg.metadata_location)
    avro = []
    for found in warehouse.files.list(folder, recursive=False):
        number = _number(found.location)
        if number is None:
            if any(n in found.location for n in named):
                avro.append(found.location)
        elif found.location not in logged and (
            is_local(folder) or (reached_number is not None and number <= reached_number)
        ):
            warehouse.files.delete(found.location)
    if avro:
        used = references(iceberg)
        for location in set(avro) - used.lists - used.manifests:
            warehouse.files.delete(location)


def _number(location: str) -> int | None:
    match = _VERSION.search(location)
    return int(match.group(1)) if match else None

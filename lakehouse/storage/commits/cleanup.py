"""Removing what an attempt left behind: data files, and manifests that no commit used."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Collection

from lakehouse.storage.commits.references import references
from lakehouse.storage.io.files import is_local, join
from lakehouse.storage.warehouse import Warehouse

_VERSION = re.compile(r"/(\d+)-[0-9a-f-]{36}\.metadata\.json$")


def commit_id(attempt: str) -> uuid.UUID:
    """Return a fresh id for the names of the manifests of one commit; it begins with the attempt's.

    Examples:
        >>> str(commit_id("0012a-0123456789ab"))[:13]
        '01234567-89ab'
    """
    return uuid.UUID(hex=_own(attempt) + secrets.token_hex(10))


def _own(attempt: str) -> str:
    return attempt.rpartition("-")[2]


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
    mark = f"{_own(attempt)[:8]}-{_own(attempt)[8:]}"
    logged = {iceberg.metadata_location, *(e.metadata_file for e in iceberg.metadata.metadata_log)}
    now = _number(iceberg.metadata_location)
    avro = []
    for found in warehouse.files.list(folder, recursive=False):
        number = _number(found.location)
        if number is None:
            if mark in found.location.rsplit("/", 1)[-1]:
                avro.append(found.location)
        elif found.location not in logged and (
            is_local(folder) or (now is not None and number <= now)
        ):
            warehouse.files.delete(found.location)
    if avro:
        used = references(iceberg)
        for location in set(avro) - used.lists - used.manifests:
            warehouse.files.delete(location)


def _number(location: str) -> int | None:
    match = _VERSION.search(location)
    return int(match.group(1)) if match else None

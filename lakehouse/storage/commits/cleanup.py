"""Removes what an attempt left behind: data files, and metadata that no commit used."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Collection

from lakehouse.storage.commits.references import referenced_files
from lakehouse.storage.io.files import is_local, join
from lakehouse.storage.warehouse import Warehouse

_VERSION = re.compile(r"/(\d+)-[0-9a-f-]{36}\.metadata\.json$")


def commit_id(attempt: str) -> uuid.UUID:
    """Return a new id for the manifests of one commit; it begins with the attempt's own suffix.

    Examples:
        >>> str(commit_id("0012a-0123456789ab"))[:13]
        '01234567-89ab'
    """
    return uuid.UUID(hex=_id_suffix(attempt) + secrets.token_hex(10))


def _id_suffix(attempt: str) -> str:
    return attempt.rpartition("-")[2]


def clear_data(
    warehouse: Warehouse, attempt: str, keep: Collection[str] = (), *, check: bool = False
) -> None:
    """Remove the data files of an attempt except those to keep.

    Args:
        warehouse: The warehouse.
        attempt: Id of the attempt.
        keep: Locations of files to keep: those that were committed.
        check: Also keep every file that a table refers to. The attempt was another process's, so
            a doubt about it must never cost a row.
    """
    for table in warehouse.tables():
        folder = join(warehouse.location(table), "data", attempt)
        unwanted = {f.location for f in warehouse.files.list(folder)} - set(keep)
        if check and unwanted:
            unwanted -= referenced_files(warehouse.iceberg(table)).data
        for location in unwanted:
            warehouse.files.delete(location)
        if not any(k.startswith(folder + "/") for k in keep):
            warehouse.files.delete_empty(folder)


def sweep_metadata(warehouse: Warehouse, table: str, attempt: str) -> None:
    """Remove manifests and metadata files that a dead attempt wrote and never committed.

    Its manifests carry its id in their names. Metadata files carry none. On a disk the caller
    holds the commit lock, so any that the table does not log is dead. In an object store one is
    dead when the table has reached its number, for it can no longer win a commit.
    """
    iceberg = warehouse.iceberg(table)
    folder = join(iceberg.location(), "metadata")
    mark = f"{_id_suffix(attempt)[:8]}-{_id_suffix(attempt)[8:]}"
    logged_files = {
        iceberg.metadata_location,
        *(e.metadata_file for e in iceberg.metadata.metadata_log),
    }
    current_number = _metadata_number(iceberg.metadata_location)
    avro_files = []
    for entry in warehouse.files.list(folder, recursive=False):
        number = _metadata_number(entry.location)
        if number is None:
            if mark in entry.location.rsplit("/", 1)[-1]:
                avro_files.append(entry.location)
        elif entry.location not in logged_files and (
            is_local(folder) or (current_number is not None and number <= current_number)
        ):
            warehouse.files.delete(entry.location)
    if avro_files:
        in_use = referenced_files(iceberg)
        for location in set(avro_files) - in_use.lists - in_use.manifests:
            warehouse.files.delete(location)


def _metadata_number(location: str) -> int | None:
    match = _VERSION.search(location)
    return int(match.group(1)) if match else None

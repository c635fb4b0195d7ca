"""What is in already: the ``ingests`` and ``ingest_files`` tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.storage.warehouse import Warehouse

FILES, INGESTS = "ingest_files", "ingests"
"""The ledger; ``ingests`` is committed last, so a row there says that all of an ingest is in."""

TAKEN = ("done", "not-recognised", "unreadable")
"""Statuses of a file that an ingest need not look at again. What an unreadable file gave before
the fault is stored, so only a replay, which knows the rows that are in, may read it again."""


def known_files(
    warehouse: Warehouse, file_ids: Iterable[str], statuses: Collection[str] = TAKEN
) -> set[str]:
    """Return which of these files' contents are in the ledger.

    Args:
        warehouse: The warehouse.
        file_ids: Keyed digests of the files' contents.
        statuses: Statuses that count.
    """
    wanted = set(file_ids)
    if not wanted:
        return set()
    rows = _read(warehouse, FILES, "file_id", "status")
    counted = rows.filter(pc.is_in(rows["status"], pa.array(sorted(statuses), pa.string())))
    return wanted.intersection(counted["file_id"].to_pylist())


def completed(warehouse: Warehouse, ingest_ids: Iterable[str]) -> set[str]:
    """Return which of these ingests are complete: every table of theirs is committed."""
    wanted = set(ingest_ids)
    if not wanted:
        return set()
    return wanted.intersection(_read(warehouse, INGESTS, "ingest_id")["ingest_id"].to_pylist())


def _read(warehouse: Warehouse, table: str, *columns: str) -> pa.Table:
    return warehouse.iceberg(table).scan(selected_fields=columns).to_arrow()

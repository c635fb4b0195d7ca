"""Erased patients stay erased: their tombstones, and the filter that every batch passes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import CleanBatch, make_clean_batch
from lakehouse.definitions.tables import load_tables
from lakehouse.storage.warehouse import Warehouse


def tombstone(pseudonym: str) -> str:
    """Return the tombstone of a pseudonym; it tells nothing of the pseudonym.

    Examples:
        >>> len(tombstone("0" * 32))
        64
    """
    return hashlib.sha256(pseudonym.encode()).hexdigest()


def read_tombstones(warehouse: Warehouse) -> frozenset[str]:
    """Return the tombstones of a warehouse."""
    table = warehouse.iceberg("tombstones").scan(selected_fields=("tombstone",)).to_arrow()
    return frozenset(table["tombstone"].to_pylist())


def without_erased(batch: CleanBatch, tombstones: Collection[str]) -> CleanBatch:
    """Return the batch without the rows of erased patients, in any of its tables.

    Args:
        batch: De-identified rows.
        tombstones: Tombstones of the warehouse.
    """
    if not tombstones:
        return batch
    tables = {}
    for name, table in batch.tables.items():
        gone = None
        for column in load_tables()[name].of_class("patient"):
            hit = erased(table.column(column.name), tombstones)
            gone = hit if gone is None else pc.or_(gone, hit)
        tables[name] = table if gone is None else table.filter(pc.invert(gone))
    return make_clean_batch(tables, batch.counts)


def erased(patients: pa.ChunkedArray, tombstones: Collection[str]) -> pa.ChunkedArray:
    """Return which of these pseudonyms have a tombstone."""
    distinct = [p for p in patients.unique().to_pylist() if p is not None]
    known = pa.array([p for p in distinct if tombstone(p) in tombstones], pa.string())
    return pc.is_in(patients, known)

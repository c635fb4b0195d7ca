"""Tombstones of erased patients, and the filter that keeps their rows out of every batch."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import CleanBatch, make_clean_batch
from lakehouse.definitions.tables import load_tables
from lakehouse.storage.warehouse import Warehouse


def tombstone(pseudonym: str) -> str:
    """Return the tombstone of a pseudonym, a digest that does not reveal the pseudonym.

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
        is_erased = None
        for column in load_tables()[name].of_class("patient"):
            has_erased_patient = has_tombstone(table.column(column.name), tombstones)
            is_erased = (
                has_erased_patient if is_erased is None else pc.or_(is_erased, has_erased_patient)
            )
        tables[name] = table if is_erased is None else table.filter(pc.invert(is_erased))
    return make_clean_batch(tables, batch.counts)


def has_tombstone(patients: pa.ChunkedArray, tombstones: Collection[str]) -> pa.ChunkedArray:
    """Return a mask of the pseudonyms that have a tombstone."""
    distinct = [p for p in patients.unique().to_pylist() if p is not None]
    matches = pa.array([p for p in distinct if tombstone(p) in tombstones], pa.string())
    return pc.is_in(patients, matches)

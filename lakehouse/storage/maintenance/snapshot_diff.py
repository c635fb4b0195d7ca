"""The rows of two snapshots of one table as multisets."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.storage.commits import file_scans
from lakehouse.storage.warehouse import Warehouse


def differences(
    warehouse: Warehouse, table: str, before: int | None, after: int | None
) -> tuple[int, int]:
    """Return how many rows only the later and only the earlier snapshot has.

    Data files that both snapshots have cancel out unread, so the cost follows what changed.

    Args:
        warehouse: The warehouse.
        table: The table.
        before: The earlier snapshot; None for an empty table.
        after: The later one.
    """
    iceberg = warehouse.iceberg(table)
    old = {} if before is None else {t.file.file_path: t for t in file_scans.plan(iceberg, before)}
    new = {} if after is None else {t.file.file_path: t for t in file_scans.plan(iceberg, after)}
    added = _count(file_scans.read(iceberg, [t for p, t in new.items() if p not in old]))
    removed = _count(file_scans.read(iceberg, [t for p, t in old.items() if p not in new]))
    return (added - removed).total(), (removed - added).total()


def _count(rows: pa.Table) -> Counter[str]:
    """Count equal rows; a row stands as one text, each value with its length before it."""
    if not rows.num_rows:
        return Counter()
    parts = []
    for column in rows.columns:
        text = pc.fill_null(column.cast(pa.string()), "\x00")
        parts += [pc.utf8_length(text).cast(pa.string()), text]
    joined = pc.binary_join_element_wise(*(p.combine_chunks() for p in parts), "\x1f")
    return Counter(joined.to_pylist())

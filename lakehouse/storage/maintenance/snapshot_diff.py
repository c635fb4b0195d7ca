"""Compares two snapshots of one table as multisets of rows."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.storage.commits import file_scans
from lakehouse.storage.warehouse import Warehouse


def count_differences(
    warehouse: Warehouse, table: str, before: int | None, after: int | None
) -> tuple[int, int]:
    """Return how many rows only the later and how many only the earlier snapshot has.

    The comparison leaves out data files that both snapshots have, so the cost follows the change.

    Args:
        warehouse: The warehouse.
        table: Name of the table.
        before: The earlier snapshot; None for an empty table.
        after: The later one.
    """
    iceberg = warehouse.iceberg(table)
    old = (
        {}
        if before is None
        else {t.file.file_path: t for t in file_scans.plan_files(iceberg, before)}
    )
    new = (
        {}
        if after is None
        else {t.file.file_path: t for t in file_scans.plan_files(iceberg, after)}
    )
    only_later = _count_rows(
        file_scans.read_rows(iceberg, [t for p, t in new.items() if p not in old])
    )
    only_earlier = _count_rows(
        file_scans.read_rows(iceberg, [t for p, t in old.items() if p not in new])
    )
    return (only_later - only_earlier).total(), (only_earlier - only_later).total()


def _count_rows(rows: pa.Table) -> Counter[str]:
    """Count equal rows; each row becomes one text in which a value follows its length."""
    if not rows.num_rows:
        return Counter()
    parts = []
    for column in rows.columns:
        text = pc.fill_null(column.cast(pa.string()), "\x00")
        parts += [pc.utf8_length(text).cast(pa.string()), text]
    texts = pc.binary_join_element_wise(*(p.combine_chunks() for p in parts), "\x1f")
    return Counter(texts.to_pylist())

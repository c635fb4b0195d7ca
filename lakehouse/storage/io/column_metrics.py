"""Column metrics of a data file for its Iceberg manifest, read from the Parquet footer.

This module computes them in place of pyiceberg, so that a worker does not import it and a
column's PHI class alone decides whether its bounds are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BOUND_CHARACTERS = 16
"""Length to which a bound cuts a text."""

_FORMATS = {"BOOLEAN": "<?", "INT32": "<i", "INT64": "<q", "FLOAT": "<f", "DOUBLE": "<d"}


@dataclass(frozen=True)
class ColumnMetrics:
    """Sizes, counts and bounds of a data file's columns, by Iceberg field id.

    Attributes:
        column_sizes: Compressed bytes.
        value_counts: Values, nulls included.
        null_counts: Nulls.
        lower: Smallest value in Iceberg's single-value form; texts cut to 16 characters.
        upper: Largest value likewise; a text that was cut is rounded up.
        split_offsets: Where the row groups begin.
    """

    column_sizes: dict[int, int]
    value_counts: dict[int, int]
    null_counts: dict[int, int]
    lower: dict[int, bytes]
    upper: dict[int, bytes]
    split_offsets: tuple[int, ...]


def collect_metrics(
    footer: pq.FileMetaData,
    rows: pa.Table,
    ids: Mapping[str, int],
    bounded_columns: Collection[str],
) -> ColumnMetrics:
    """Return the column metrics of a data file that was just written.

    Args:
        footer: Parquet metadata of the file, as the writer has it.
        rows: The rows of the file.
        ids: Iceberg field id of each column.
        bounded_columns: Columns whose smallest and largest value the manifest states.
    """
    result = ColumnMetrics(
        column_sizes=dict.fromkeys(ids.values(), 0),
        value_counts={ids[n]: rows.num_rows for n in rows.column_names},
        null_counts={ids[n]: rows[n].null_count for n in rows.column_names},
        lower={},
        upper={},
        split_offsets=_split_offsets(footer),
    )
    extremes: dict[str, tuple[str, list[Any], list[Any]]] = {}
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        for position in range(footer.num_columns):
            chunk = row_group.column(position)
            name = chunk.path_in_schema
            result.column_sizes[ids[name]] += chunk.total_compressed_size
            if name in bounded_columns and chunk.is_stats_set and chunk.statistics.has_min_max:
                kind, low, high = extremes.setdefault(name, (chunk.physical_type, [], []))
                low.append(chunk.statistics.min_raw)
                high.append(chunk.statistics.max_raw)
    for name, (kind, low, high) in extremes.items():
        lower, upper = _bounds_of(kind, min(low), max(high))
        result.lower[ids[name]] = lower
        if upper is not None:
            result.upper[ids[name]] = upper
    return result


def _split_offsets(footer: pq.FileMetaData) -> tuple[int, ...]:
    firsts = (footer.row_group(g).column(0) for g in range(footer.num_row_groups))
    return tuple(
        min(c.dictionary_page_offset, c.data_page_offset)
        if c.has_dictionary_page
        else c.data_page_offset
        for c in firsts
    )


def _bounds_of(kind: str, low: Any, high: Any) -> tuple[bytes, bytes | None]:
    if kind == "BYTE_ARRAY":
        return low.decode()[:BOUND_CHARACTERS].encode(), round_up(high.decode())
    form = _FORMATS[kind]
    return struct.pack(form, low), struct.pack(form, high)


def round_up(text: str) -> bytes | None:
    """Return an upper bound of at most 16 characters for a text, or None where there is none.

    Examples:
        >>> round_up("short"), round_up("0123456789abcdef-and-more")
        (b'short', b'0123456789abcdeg')
    """
    if len(text) <= BOUND_CHARACTERS:
        return text.encode()
    for position in range(BOUND_CHARACTERS - 1, -1, -1):
        following = ord(text[position]) + 1
        if 0xD800 <= following < 0xE000:  # UTF-8 cannot encode a surrogate
            following = 0xE000
        if following <= 0x10FFFF:
            return (text[:position] + chr(following)).encode()
    return None

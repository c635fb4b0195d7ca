"""What a manifest says about a data file's columns, taken from the footer just written.

Worked out here rather than by pyiceberg so that a worker does not import it, and so that a
column's bounds are kept or not by its PHI class alone.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

WIDTH = 16
"""Characters of a text kept in a bound."""

_FORMATS = {"BOOLEAN": "<?", "INT32": "<i", "INT64": "<q", "FLOAT": "<f", "DOUBLE": "<d"}


@dataclass(frozen=True)
class Metrics:
    """Column metrics by Iceberg field id.

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


def metrics(
    footer: pq.FileMetaData, rows: pa.Table, ids: Mapping[str, int], bounded: Collection[str]
) -> Metrics:
    """Return the metrics of a file.

    Args:
        footer: The file's metadata, as the writer holds it.
        rows: The rows of the file.
        ids: Iceberg field id of each column.
        bounded: Columns that keep bounds.
    """
    known = Metrics(
        column_sizes=dict.fromkeys(ids.values(), 0),
        value_counts={ids[n]: rows.num_rows for n in rows.column_names},
        null_counts={ids[n]: rows[n].null_count for n in rows.column_names},
        lower={},
        upper={},
        split_offsets=_offsets(footer),
    )
    extremes: dict[str, tuple[str, list[Any], list[Any]]] = {}
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        for position in range(footer.num_columns):
            chunk = row_group.column(position)
            name = chunk.path_in_schema
            known.column_sizes[ids[name]] += chunk.total_compressed_size
            if name in bounded and chunk.is_stats_set and chunk.statistics.has_min_max:
                kind, low, high = extremes.setdefault(name, (chunk.physical_type, [], []))
                low.append(chunk.statistics.min_raw)
                high.append(chunk.statistics.max_raw)
    for name, (kind, low, high) in extremes.items():
        lower, upper = _bound(kind, min(low), max(high))
        known.lower[ids[name]] = lower
        if upper is not None:
            known.upper[ids[name]] = upper
    return known


def _offsets(footer: pq.FileMetaData) -> tuple[int, ...]:
    firsts = (footer.row_group(g).column(0) for g in range(footer.num_row_groups))
    return tuple(
        min(c.dictionary_page_offset, c.data_page_offset)
        if c.has_dictionary_page
        else c.data_page_offset
        for c in firsts
    )


def _bound(kind: str, low: Any, high: Any) -> tuple[bytes, bytes | None]:
    if kind == "BYTE_ARRAY":
        return low.decode()[:WIDTH].encode(), round_up(high.decode())
    form = _FORMATS[kind]
    return struct.pack(form, low), struct.pack(form, high)


def round_up(text: str) -> bytes | None:
    """Return a bound of at most 16 characters that is not below the text, or None.

    Examples:
        >>> round_up("short"), round_up("0123456789abcdef-and-more")
        (b'short', b'0123456789abcdeg')
    """
    if len(text) <= WIDTH:
        return text.encode()
    for position in range(WIDTH - 1, -1, -1):
        following = ord(text[position]) + 1
        if 0xD800 <= following < 0xE000:  # surrogates are no characters
            following = 0xE000
        if following <= 0x10FFFF:
            return (text[:position] + chr(following)).encode()
    return None

"""Arrow columns: one piece of many, distinct values, and functions called once for each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the column in one piece.

    Examples:
        >>> whole(pa.chunked_array([["a"], ["b"]])).to_pylist()
        ['a', 'b']
    """
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def distinct(column: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Return which distinct value each row has, and the distinct values.

    Examples:
        >>> at, values = distinct(pa.array(["b", None, "b"]))
        >>> at.to_pylist(), values.to_pylist()
        ([0, None, 0], ['b'])
    """
    encoded = whole(column).dictionary_encode()
    return encoded.indices, encoded.dictionary


def map_distinct(
    column: pa.Array | pa.ChunkedArray,
    function: Callable[[str], Any],
    to: pa.DataType = pa.string(),  # noqa: B008  (types are immutable)
) -> pa.Array:
    """Return the function of each value, called once for each distinct one; null stays null.

    Args:
        column: The values.
        function: What is made of one value.
        to: Type of what the function returns.

    Examples:
        >>> map_distinct(pa.array(["a", "b", "a", None]), str.upper).to_pylist()
        ['A', 'B', 'A', None]
    """
    if column.null_count == len(column):
        return pa.nulls(len(column), to)
    at, values = distinct(column)
    return pc.take(pa.array([function(v) for v in values.to_pylist()], to), at)

"""Distinct strings across Arrow columns, and columns of dates and numbers as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrays import whole
from lakehouse.batch import compact_dictionary

DAY_US = 86_400_000_000
"""Microseconds of a day."""

Days = npt.NDArray[np.int64]
"""Dates as days since 1970-01-01."""
Bools = npt.NDArray[np.bool_]
Key = TypeVar("Key")


class Distinct(Generic[Key]):
    """The distinct strings of several columns together, so that an action runs once for each.

    Attributes:
        values: The distinct strings.
        at: By column, which of them each row has.
    """

    def __init__(self, columns: Mapping[Key, pa.ChunkedArray]) -> None:
        chunks = [chunk for column in columns.values() for chunk in column.chunks]
        # one hash table for all chunks, and no copy of their strings into one
        encoded = pa.chunked_array(chunks, pa.string()).dictionary_encode().unify_dictionaries()
        parts = encoded.chunks
        self.values: pa.Array = parts[0].dictionary if parts else pa.array([], pa.string())
        together = pa.chunked_array([part.indices for part in parts], pa.int32())
        self.at: dict[Key, pa.Array] = {}
        start = 0
        for key, column in columns.items():
            self.at[key] = whole(together.slice(start, len(column)))
            start += len(column)

    def expand(self, results: pa.Array) -> dict[Key, pa.Array]:
        """Return each column with the result for its strings, given one result a distinct string.

        Where rows repeat them, a column stays dictionary-encoded, and no string is copied for
        each row; its dictionary holds no null, nothing twice, and nothing of other columns.
        """
        if len(results) * 4 > sum(map(len, self.at.values())):
            return {key: results.take(at) for key, at in self.at.items()}
        columns = {}
        encoded = results.dictionary_encode()
        same = len(encoded.dictionary) == len(results)
        for key, at in self.at.items():
            places = at if same else encoded.indices.take(at)
            column = compact_dictionary(pa.DictionaryArray.from_arrays(places, encoded.dictionary))
            rare = len(column.dictionary) * 4 > len(column)
            columns[key] = results.take(at) if rare else column
        return columns


def numbers(column: pa.Array | pa.ChunkedArray) -> tuple[Days, Bools]:
    """Return integers, dates or timestamps as integers (0 for null), and a mask of the non-null."""
    column = whole(column)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    values = column.cast(pa.int64()).fill_null(0)
    return values.to_numpy(zero_copy_only=False), valid


def days_of(column: pa.Array | pa.ChunkedArray, time_zone: str) -> tuple[Days, Bools]:
    """Return the local dates of dates or instants as days, and a mask of the non-null."""
    column = whole(column)
    if pa.types.is_timestamp(column.type):
        if time_zone != "UTC":
            column = pc.local_timestamp(column.cast(pa.timestamp("us", time_zone)))
        instants, valid = numbers(column)
        return instants // DAY_US, valid
    return numbers(column)


def integers(values: npt.NDArray[np.int64], valid: Bools, kind: pa.DataType) -> pa.Array:
    """Return integers as an Arrow column of a type, null where not valid."""
    column = pa.array(np.where(valid, values, 0), pa.int64(), mask=~valid)
    return column.cast(pa.int32()).cast(kind) if pa.types.is_date32(kind) else column.cast(kind)

"""Builds the Arrow columns that a mapping describes, from a reader of single paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.definitions.tables import Table
from lakehouse.formats.mapping.mapping_file import (
    FROM,
    TEXT,
    ColumnMapping,
    Condition,
    Conversion,
    Place,
)

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)
Bools = npt.NDArray[np.bool_]

CODING = {
    part: Conversion(f"coding.{part}")
    for part in ("code", "system", "display", "alt_code", "alt_system")
}
"""Conversions of a coded element: the chosen coding, and the other one."""


class Reader(Protocol[P_contra]):
    """What a format's records give at a path, one value a row."""

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        ...

    def value(
        self, path: P_contra, conversion: Conversion, found: pa.Array | None
    ) -> pa.Array | None:
        """Return the values at a path; None where none of the rows can have one.

        Args:
            path: The path.
            conversion: What the values become.
            found: What an alternative gave before; rows that have a value there are not asked
                for, and a reader that goes row by row may leave them out.
        """
        ...


Combine = Callable[[ColumnMapping[Any], dict[str, pa.Array | None]], pa.Array | None]
"""Makes one column of the values of its places, by key (a date and its time, a number and who gave
it)."""


def first_value(place: Place[P], reader: Reader[P]) -> pa.Array | None:
    """Return, row by row, the value of the first alternative that has one."""
    column: pa.Array | None = None
    for path, factor in zip(place.paths, place.factors, strict=True):
        value = reader.value(path, place.conversion, column)
        if value is None:
            continue
        if factor != 1:
            value = pc.multiply(value, factor)
        column = value if column is None else pc.coalesce(column, value)
        if not column.null_count:
            break
    return column


def meets(condition: Condition[P], reader: Reader[P]) -> Bools:
    """Return which rows meet a condition."""
    text = reader.value(condition.path, TEXT, None)
    if text is None:
        return np.full(reader.n_rows, condition.negated)
    listed: Bools = pc.is_in(text, pa.array(sorted(condition.values))).to_numpy(
        zero_copy_only=False
    )
    return ~listed if condition.negated else listed


def build_column(
    mapping: ColumnMapping[P], reader: Reader[P], combine: Combine | None = None
) -> pa.Array | None:
    """Return a column of one value a row; None where no row can have one.

    Args:
        mapping: How the column is filled.
        reader: The records.
        combine: For a format whose columns may have places of its own.
    """
    if mapping.kind == "constant":
        column = pa.repeat(pa.scalar(mapping.constant), reader.n_rows)
    else:
        values = {key: first_value(place, reader) for key, place in mapping.places.items()}
        column = combine(mapping, values) if combine else values[FROM]
    if mapping.default is not None:
        if column is None:
            return pa.repeat(pa.scalar(mapping.default), reader.n_rows)
        column = pc.fill_null(column, mapping.default)
    if column is not None and mapping.when is not None:
        column = pc.if_else(pa.array(meets(mapping.when, reader)), column, None)
    return column


def build_coded(mapping: ColumnMapping[P], table: Table, reader: Reader[P]) -> dict[str, pa.Array]:
    """Return code, system, display and the other coding, as far as the table has columns for them.

    ``code`` fills ``code``, ``code_system``, ``code_display``, ``alt_code`` and
    ``alt_code_system``; any other ``x_code`` fills ``x_code``, ``x_system`` and ``x_display``.
    """
    name = mapping.column
    prefix = name if name == "code" else name.removesuffix("_code")
    columns = {name: "code", f"{prefix}_system": "system", f"{prefix}_display": "display"}
    if name == "code":
        columns |= {"alt_code": "alt_code", "alt_code_system": "alt_system"}
    path = mapping.places[FROM].paths[0]
    built: dict[str, pa.Array] = {}
    for column, part in columns.items():
        if column in table.columns:
            value = reader.value(path, CODING[part], None)
            if value is not None:
                built[column] = value
    return built

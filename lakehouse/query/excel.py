"""Rows as an Excel workbook: values as what they are, and none of them a formula."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa

from lakehouse.errors import MissingExtraError, QueryError

MAX_ROWS, MAX_COLUMNS, MAX_TEXT = 1_048_576, 16_384, 32_767
"""What a sheet holds, its header among the rows, and a cell."""

EXACT = 10**15
"""Excel keeps 15 digits of a number; one of more becomes text, which keeps all."""

FIRST_DAY = date(1900, 3, 1)
"""Excel takes 1900 for a leap year, and has no days before it: earlier ones become text."""

FORMATS = {datetime: "yyyy-mm-dd hh:mm:ss", date: "yyyy-mm-dd", time: "hh:mm:ss"}
WIDTH = 20
"""Characters that a time of day with its date takes; a column is never narrower."""

OTHER_WAY = "Write CSV or Parquet, or select less."


@contextmanager
def workbook(columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> Iterator[BinaryIO]:
    """Give the block a temporary file with a workbook of one sheet, to be read from its beginning.

    Args:
        columns: Names of the columns.
        batches: The rows. Times with a zone are in UTC, and written as its wall clock, for Excel
            has no zones; a number that is none (NaN, infinity) is an empty cell.

    Raises:
        QueryError: There are more rows, columns or characters than Excel takes.
        MissingExtraError: xlsxwriter is not installed.
    """
    try:
        import xlsxwriter
    except ImportError:
        raise MissingExtraError.for_extra("Writing Excel workbooks", "excel") from None
    if len(columns) > MAX_COLUMNS:
        raise QueryError(f"A sheet of Excel has {MAX_COLUMNS:,} columns at most.", OTHER_WAY)
    held = _within(batches)
    with tempfile.TemporaryFile() as file:
        with xlsxwriter.Workbook(file, {"constant_memory": True}) as book:
            _fill(book, columns, held)
        file.seek(0)
        yield file


def _fill(book: Any, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> None:
    sheet = book.add_worksheet("rows")
    bold = book.add_format({"bold": True})
    formats = {kind: book.add_format({"num_format": form}) for kind, form in FORMATS.items()}
    sheet.freeze_panes(1, 0)
    for place, name in enumerate(columns):
        sheet.set_column(place, place, max(WIDTH, min(len(name) + 2, 2 * WIDTH)))
        sheet.write_string(0, place, name[:MAX_TEXT], bold)
    line = 0
    for batch in batches:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            line += 1
            for place, value in enumerate(row):
                _write(sheet, line, place, value, formats, columns[place])


def _within(batches: Iterable[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Return the batches, all of them at hand: how many rows there are is known before a write."""
    held, rows = [], 0
    for batch in batches:
        held.append(batch)
        rows += len(batch)
        if rows >= MAX_ROWS:
            raise QueryError(
                f"A sheet of Excel has {MAX_ROWS:,} rows at most, and there are more.",
                OTHER_WAY,
            )
    return held


def _write(
    sheet: Any, line: int, place: int, value: Any, formats: dict[type, Any], column: str
) -> None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, place, value)
    elif isinstance(value, float) or (isinstance(value, (int, Decimal)) and _is_exact(value)):
        sheet.write_number(line, place, float(value))
    elif isinstance(value, datetime) and value.date() >= FIRST_DAY:
        sheet.write_datetime(line, place, value.replace(tzinfo=None), formats[datetime])
    elif isinstance(value, date) and not isinstance(value, datetime) and value >= FIRST_DAY:
        sheet.write_datetime(line, place, value, formats[date])
    elif isinstance(value, time):
        sheet.write_datetime(line, place, value, formats[time])
    else:
        text = str(value)
        if len(text) > MAX_TEXT:
            raise QueryError(
                f"A cell of Excel has {MAX_TEXT:,} characters at most, and a value of the column "
                f"{column} has more.",
                OTHER_WAY,
            )
        sheet.write_string(line, place, text)


def _is_exact(value: int | Decimal) -> bool:
    """Return whether Excel keeps every digit of a number.

    Examples:
        >>> _is_exact(123), _is_exact(10**15 + 1), _is_exact(Decimal("1.500000000000000000"))
        (True, False, True)
    """
    if isinstance(value, int):
        return abs(value) < EXACT
    return len(value.normalize().as_tuple().digits) < len(str(EXACT))

"""The rows of a query: DuckDB's relation, with errors that quote no data."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.ipc

from lakehouse.query import errors

if TYPE_CHECKING:
    import polars

T = TypeVar("T")

NOTEBOOK_ROWS = 50
NOTEBOOK_TEXT = 200
"""Most rows, and characters of a value, that a notebook is shown."""

_EXCEL = re.compile(
    r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|DATE|TIME|"
    r"TIMESTAMP( WITH TIME ZONE)?"
)
"""Types that Excel has cells for."""


@contextmanager
def _writable(target: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    """Open a path; what is open already stays open."""
    if isinstance(target, str | Path):
        with Path(target).open("wb") as file:
            yield file
    else:
        yield target


def _cell(value: str | None) -> str:
    if value is None:
        return "<i>null</i>"
    cut = value if len(value) <= NOTEBOOK_TEXT else f"{value[:NOTEBOOK_TEXT]}…"
    return escape(cut)


class Result:
    """The rows of a query; the query runs when a method reads them.

    It wraps DuckDB's relation and has its methods that read rows: ``df``, ``arrow``,
    ``pl``, ``fetchall``, ``fetchone``, ``fetchmany``, ``columns``, ``types``, ``shape``, ``limit``,
    ``show``, ``to_csv``, ``to_parquet``; ``to_excel`` besides. It is not the relation itself,
    because an error of DuckDB may quote a value of a row. No method refines the query (``filter``,
    ``join``): write another SELECT.

    Examples:
        >>> rows = Result(duckdb.connect().sql("SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a"))
        >>> rows.columns, rows.fetchall()
        (['a'], [(1,), (2,)])
    """

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self._relation = relation

    def _run(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except duckdb.Error as error:
            raise errors.query_error(error) from None

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._relation.columns

    @property
    def types(self) -> list[str]:
        """DuckDB types of the columns."""
        return [str(t) for t in self._relation.types]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self), len(self.columns)

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self._run(self._relation.to_arrow_table)

    def df(self) -> Any:
        """Return the rows as a pandas data frame (needs pandas)."""
        return self._run(self._relation.df)

    def pl(self) -> polars.DataFrame:
        """Return the rows as a polars data frame (needs polars)."""
        return self._run(self._relation.pl)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows as tuples."""
        return self._run(self._relation.fetchall)

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None after the last."""
        return self._run(self._relation.fetchone)

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """Return the next rows."""
        return self._run(lambda: self._relation.fetchmany(size))

    def batches(self, rows: int = 100_000) -> Iterator[pa.RecordBatch]:
        """Yield the rows in Arrow batches; memory is bounded by a batch."""
        reader = self._run(lambda: self._relation.to_arrow_reader(rows))
        while True:
            try:
                batch = next(reader, None)
            except (OSError, pa.ArrowException) as error:
                raise errors.stream_error(error) from None
            if batch is None:
                return
            yield batch

    def limit(self, rows: int, offset: int = 0) -> Result:
        """Return the first rows only, after an offset."""
        return Result(self._relation.limit(rows, offset))

    def texts(self) -> Result:
        """Return the same rows with every value as DuckDB writes it; null stays null."""
        numbered = ", ".join(f"#{n}::VARCHAR" for n in range(1, len(self.columns) + 1))
        return Result(self._relation.project(numbered))

    def to_csv(self, target: str | Path | BinaryIO) -> None:
        """Write the rows as CSV, values as DuckDB writes them.

        Args:
            target: A file by its path, or one open for writing bytes.
        """
        lines = io.StringIO(newline="")
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(self.columns)
        with _writable(target) as file:
            for batch in self.texts().batches():
                file.write(lines.getvalue().encode())
                lines.seek(0)
                lines.truncate()
                writer.writerows(zip(*(c.to_pylist() for c in batch.columns), strict=True))
            file.write(lines.getvalue().encode())

    def to_parquet(self, target: str | Path | BinaryIO) -> None:
        """Write the rows as Parquet.

        Args:
            target: A file by its path, or one open for writing bytes.
        """
        import pyarrow.parquet

        def writer(sink: pa.NativeFile, schema: pa.Schema) -> Any:
            return pyarrow.parquet.ParquetWriter(sink, schema, compression="zstd")

        self._stream(target, writer)

    def to_arrow(self, target: str | Path | BinaryIO) -> None:
        """Write the rows as a stream of Arrow's IPC.

        Args:
            target: A file by its path, or one open for writing bytes.
        """
        self._stream(target, pa.ipc.new_stream)

    def to_excel(self, target: str | Path | BinaryIO) -> None:
        """Write the rows as an Excel workbook; nothing is written unless all of them fit.

        A text is a text, whatever it begins with, and no formula; lists and other values that
        Excel does not have are written as DuckDB writes them.

        Args:
            target: A file by its path, or one open for writing bytes.

        Raises:
            QueryError: More than 1,048,575 rows, or a text of more than 32,767 characters.
            MissingExtraError: The extra ``excel`` is not installed.
        """
        from lakehouse.query.excel import workbook

        cells = ", ".join(
            f"#{n}" if _EXCEL.fullmatch(kind) else f"#{n}::VARCHAR"
            for n, kind in enumerate(self.types, 1)
        )
        rows = Result(self._relation.project(cells)).batches()
        with workbook(self.columns, rows) as book, _writable(target) as file:
            shutil.copyfileobj(book, file)

    def _stream(
        self, target: str | Path | BinaryIO, writer: Callable[[pa.NativeFile, pa.Schema], Any]
    ) -> None:
        batches = self.batches()
        first = next(batches, None)
        schema = first.schema if first is not None else self.limit(0).arrow().schema
        with _writable(target) as file:
            sink = pa.PythonFile(file, mode="w")  # not closed: the file may be standard output
            with writer(sink, schema) as out:
                for batch in chain([] if first is None else [first], batches):
                    out.write_batch(batch)

    def show(self, rows: int = 50) -> None:
        """Print the first rows as a table."""
        print(self._run(lambda: str(self._relation.limit(rows))))  # noqa: T201 - its purpose

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def __len__(self) -> int:
        return self._run(lambda: int(self._relation.shape[0]))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.arrow().__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        """Return the first rows as a table for a notebook, and how many there are."""
        first = self.texts().limit(NOTEBOOK_ROWS + 1).fetchall()
        shown = first[:NOTEBOOK_ROWS]
        total = len(first) if len(first) == len(shown) else len(self)
        head = "".join(
            f'<th title="{escape(kind)}">{escape(name)}</th>'
            for name, kind in zip(self.columns, self.types, strict=True)
        )
        body = "".join(
            f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in shown
        )
        count = f"{total:,} {'row' if total == 1 else 'rows'}"
        if total > len(shown):
            count = f"The first {len(shown)} of {count}"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{count}</p>"

    def __repr__(self) -> str:
        return self._run(lambda: str(self._relation))

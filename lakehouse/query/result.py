"""What a query gives: DuckDB's relation, read-only, with errors that quote no data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa

from lakehouse.query import faults

if TYPE_CHECKING:
    import polars

T = TypeVar("T")


class Result:
    """Rows of a query; nothing is read before one of the methods asks for them.

    It has the reading methods of DuckDB's relation and none that writes.

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
            raise faults.query_error(error) from None

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._relation.columns

    @property
    def types(self) -> list[str]:
        """DuckDB types of the columns."""
        return [str(t) for t in self._relation.types]

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
                raise faults.stream_error(error) from None
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

    def show(self, rows: int = 50) -> None:
        """Print the first rows as a table."""
        print(self._run(lambda: str(self._relation.limit(rows))))  # noqa: T201 - its purpose

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def __len__(self) -> int:
        return self._run(lambda: int(self._relation.shape[0]))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return self._run(lambda: str(self._relation))

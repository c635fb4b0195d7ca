"""Clean rows gather until a data file is worth its while; it is written while more is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import pyarrow as pa

from lakehouse.batch import ENCODED, CleanBatch
from lakehouse.storage.io.data_files import WriteSpec, WrittenFile, write_tables

HELD_BYTES = 24 << 20
"""Arrow bytes held before the largest tables are written."""


class Writer:
    """Gathers clean batches and writes data files, the largest tables first.

    Memory is bounded by about twice ``HELD_BYTES``: what is held, and what is being written.

    Args:
        spec: How data files are written.
        attempt: Attempt that the files belong to.
        task: Number of the first piece of work; the following pieces count on from it.
    """

    def __init__(self, spec: WriteSpec, attempt: str, task: int = 0) -> None:
        self._spec = spec
        self._attempt = attempt
        self._task = task
        self._held: dict[str, list[pa.Table]] = {}
        self._bytes: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pending: Future[list[WrittenFile]] | None = None
        self._written: list[WrittenFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Waits: whoever clears up after a failure must not meet a file that is still coming.
        self._thread.shutdown(wait=True, cancel_futures=True)

    def add(self, batch: CleanBatch) -> None:
        """Take the rows of a batch."""
        for name, table in batch.tables.items():
            if len(table):
                self._held.setdefault(name, []).append(table)
                self._bytes[name] = self._bytes.get(name, 0) + table.nbytes
        if sum(self._bytes.values()) >= HELD_BYTES:
            self._write(self._largest())

    def finish(self) -> list[WrittenFile]:
        """Write what is held and return every file written."""
        self._write(list(self._held))
        self._wait()
        return self._written

    def _largest(self) -> list[str]:
        """Return the tables that hold the larger half of the bytes, so that small ones grow on."""
        names = []
        rest = sum(self._bytes.values())
        for name in sorted(self._bytes, key=self._bytes.__getitem__, reverse=True):
            names.append(name)
            rest -= self._bytes[name]
            if rest < HELD_BYTES // 2:
                break
        return names

    def _write(self, names: list[str]) -> None:
        tables = {name: _joined(self._held.pop(name)) for name in names}
        for name in names:
            self._bytes.pop(name)
        self._wait()
        if tables:
            self._pending = self._thread.submit(self._write_tables, tables, self._task)
            self._task += 1

    def _write_tables(self, tables: Mapping[str, pa.Table], task: int) -> list[WrittenFile]:
        return write_tables(self._spec, tables, self._attempt, task)

    def _wait(self) -> None:
        if self._pending is not None:
            self._written += self._pending.result()
            self._pending = None


def _joined(parts: list[pa.Table]) -> pa.Table:
    """Return the rows of one table; a string column that is encoded in one part is so in all."""
    columns, fields = [], []
    for f in parts[0].schema:
        chunks = [chunk for part in parts for chunk in part[f.name].chunks]
        if any(chunk.type == ENCODED for chunk in chunks):
            chunks = [c if c.type == ENCODED else c.dictionary_encode() for c in chunks]
        columns.append(pa.chunked_array(chunks))
        fields.append(f.with_type(chunks[0].type))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))

"""Buffers clean batches and writes a data file when a table has enough rows.

Writing goes on in a thread of its own while the caller parses more.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import pyarrow as pa

from lakehouse.batch import ENCODED, CleanBatch
from lakehouse.storage.io.data_files import WriteSpec, WrittenFile, write_tables

BUFFER_BYTES = 24 << 20
"""Arrow bytes in the buffers from which the writer writes the largest tables."""


class Writer:
    """Buffers clean batches and writes data files, the largest tables first.

    Memory stays below about twice ``BUFFER_BYTES``: the buffers, and the tables being written.

    Args:
        spec: How to write data files.
        attempt: Id of the attempt that the files belong to.
        task: Number of the first piece of work; the following pieces count on from it.
    """

    def __init__(self, spec: WriteSpec, attempt: str, task: int = 0) -> None:
        self._spec = spec
        self._attempt = attempt
        self._task = task
        self._buffers: dict[str, list[pa.Table]] = {}
        self._bytes: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pending: Future[list[WrittenFile]] | None = None
        self._files: list[WrittenFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Clean-up after a failure must not race with a file that the thread still writes.
        self._thread.shutdown(wait=True, cancel_futures=True)

    def add(self, batch: CleanBatch) -> None:
        """Add the rows of a batch; write the largest tables when the buffers are full."""
        for name, table in batch.tables.items():
            if len(table):
                self._buffers.setdefault(name, []).append(table)
                self._bytes[name] = self._bytes.get(name, 0) + table.nbytes
        if sum(self._bytes.values()) >= BUFFER_BYTES:
            self._write(self._largest())

    def finish(self) -> list[WrittenFile]:
        """Write all buffers and return every data file written."""
        self._write(list(self._buffers))
        self._wait()
        return self._files

    def _largest(self) -> list[str]:
        """Return the tables with the larger half of the bytes, so that small ones grow on."""
        names = []
        rest = sum(self._bytes.values())
        for name in sorted(self._bytes, key=self._bytes.__getitem__, reverse=True):
            names.append(name)
            rest -= self._bytes[name]
            if rest < BUFFER_BYTES // 2:
                break
        return names

    def _write(self, names: list[str]) -> None:
        tables = {name: _concat(self._buffers.pop(name)) for name in names}
        for name in names:
            self._bytes.pop(name)
        self._wait()
        if tables:
            self._pending = self._thread.submit(
                write_tables, self._spec, tables, self._attempt, self._task
            )
            self._task += 1

    def _wait(self) -> None:
        if self._pending is not None:
            self._files += self._pending.result()
            self._pending = None


def _concat(parts: list[pa.Table]) -> pa.Table:
    """Concatenate parts of one table; a string column encoded in one part is encoded in all."""
    columns, fields = [], []
    for f in parts[0].schema:
        chunks = [chunk for part in parts for chunk in part[f.name].chunks]
        if any(chunk.type == ENCODED for chunk in chunks):
            chunks = [c if c.type == ENCODED else c.dictionary_encode() for c in chunks]
        columns.append(pa.chunked_array(chunks))
        fields.append(f.with_type(chunks[0].type))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))

"""Packed blocks as data files: a Ray datasink that writes in workers and gathers the reports."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from ray.data._internal.execution.interfaces import TaskContext
from ray.data.block import Block
from ray.data.datasource import Datasink, WriteResult

from lakehouse.batch import CleanBatch
from lakehouse.errors import EngineError, LakehouseError
from lakehouse.pipeline.arrow_memory import ingest_allocator
from lakehouse.pipeline.blocks import BlockProvenance, unpack_block
from lakehouse.pipeline.reports import FileReport
from lakehouse.pipeline.writing import Writer
from lakehouse.sources.packed_list import PackedList
from lakehouse.storage.io.data_files import WriteSpec, WrittenFile

WRITE_BYTES = 48 << 20
"""Bytes of packed blocks that one write task takes on."""

PIECES_PER_TASK = 1000
"""Task numbers that one write task may use for the files it writes."""

Written = tuple[list[WrittenFile], PackedList[FileReport], list[BlockProvenance]]


class PackedDatasink(Datasink):
    """Writes packed blocks as data files of an attempt, and keeps what was written."""

    def __init__(self, spec: WriteSpec, attempt: str = "") -> None:
        self.spec = spec
        self.attempt = attempt
        self.files: list[WrittenFile] = []
        self.reports: PackedList[FileReport] = PackedList()
        self.made: set[BlockProvenance] = set()

    @property
    def min_bytes_per_write(self) -> int:
        """Size of a write task; naming one also keeps reading and writing apart.

        Joined with its read task, a write task would hold all blocks of a file of any size.
        """
        return WRITE_BYTES

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> Written:
        """Run in a worker: write the rows of some blocks.

        The number of the task is the same when it is run again after its worker died, so the
        files of the first try are replaced.
        """
        reports: PackedList[FileReport] = PackedList()
        makers: set[BlockProvenance] = set()
        try:
            with (
                ingest_allocator(),
                Writer(self.spec, self.attempt, ctx.task_idx * PIECES_PER_TASK) as writer,
            ):
                for block in blocks:
                    for batch, told, made in unpack_block(block):
                        writer.add(self._fitting(batch, made))
                        reports.extend(told)
                        makers.add(made)
                written = writer.finish()
                pa.default_memory_pool().release_unused()
            return written, reports, list(makers)
        except LakehouseError:
            raise
        except Exception as error:
            raise EngineError(
                f"A worker failed while writing ({type(error).__name__}).",
                "Nothing was stored; run the same command again.",
            ) from None

    def _fitting(self, batch: CleanBatch, made: BlockProvenance) -> CleanBatch:
        return batch

    def on_write_complete(self, write_result: WriteResult[Written]) -> None:
        """Run on the driver when all is written: gather what the workers report."""
        for files, reports, makers in write_result.write_returns:
            self.files += files
            self.reports.extend(reports)
            self.made.update(makers)

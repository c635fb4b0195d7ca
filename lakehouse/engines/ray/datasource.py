"""Files as a Ray datasource: read tasks that parse and de-identify in one call."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from lakehouse.batch import conform
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import EngineError, LakehouseError
from lakehouse.pipeline.arrow_memory import ingest_allocator
from lakehouse.pipeline.blocks import BlockProvenance, pack_block
from lakehouse.pipeline.engine import ProcessConfig, ProcessedBatch
from lakehouse.pipeline.ingest import process
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.sources.encryption import decrypt_files, encrypt_files
from lakehouse.sources.input_file import InputFile

TASK_BYTES = 32 << 20
"""Unpacked content that one read task takes on; a larger file is a task of its own. At 250 MB on
two cores, twice as much left one of them idle at the end, and half cost a tenth more in starts."""

FILE_BYTES = 64 << 10
"""What opening a file costs besides its content, in bytes read."""


class FilesDatasource(Datasource):
    """Files as read tasks that yield packed blocks, or the typed rows of one table."""

    def __init__(
        self,
        files: Collection[InputFile],
        config: ProcessConfig,
        secret: Secret,
        counter: Any = None,
        table: str | None = None,
    ) -> None:
        super().__init__()
        policy = load_policy(config.profile)
        provenance = BlockProvenance(secret.key_id, policy.sha256, config.options.time_zone)
        self._bytes: list[int] = []
        self._read: list[partial[Iterator[pa.Table]]] = []
        for group in group_files(files):
            self._bytes.append(sum(f.content_size for f in group))
            encrypted = encrypt_files(group, secret)
            self._read.append(partial(_read, encrypted, config, provenance, counter, table))

    @property
    def n_tasks(self) -> int:
        """How many read tasks there are."""
        return len(self._read)

    def estimate_inmemory_data_size(self) -> int:
        """Return about how many bytes the rows take; the content's size is near enough."""
        return sum(self._bytes)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Return one task per group of files."""
        return [
            ReadTask(
                read,
                BlockMetadata(num_rows=None, size_bytes=size, input_files=None, exec_stats=None),
                per_task_row_limit=per_task_row_limit,
            )
            for read, size in zip(self._read, self._bytes, strict=True)
        ]


def group_files(files: Collection[InputFile]) -> Iterator[list[InputFile]]:
    """Yield the files in runs of about ``TASK_BYTES``, in their order.

    A run of small inputs is cut in two all the same, so that two cores have something to do.
    """
    total = sum(f.content_size + FILE_BYTES for f in files)
    limit = min(TASK_BYTES, max(total // 4, 1 << 20))
    group: list[InputFile] = []
    size = 0
    for file in files:
        weight = file.content_size + FILE_BYTES
        if group and size + weight > limit:
            yield group
            group, size = [], 0
        group.append(file)
        size += weight
    if group:
        yield group


def _read(
    encrypted: bytes,
    config: ProcessConfig,
    provenance: BlockProvenance,
    counter: Any,
    table: str | None,
) -> Iterator[pa.Table]:
    """Run in a worker: yield the blocks of a group of files."""
    try:
        files = decrypt_files(encrypted, Secret.load(config.key_path))
        counted: list[Any] = []
        with ingest_allocator():
            for piece in process(files, config):
                if counter is not None:
                    counted.append(counter.add.remote(piece.tally))
                block = pack_block(piece, provenance) if table is None else _rows_of(piece, table)
                del piece
                if len(block):
                    yield block
                del block
                # Ray keeps a worker for the next task: what this one is done with goes back now.
                pa.default_memory_pool().release_unused()
        ray.get(counted)  # nobody asks for the sum before all of it has arrived
        if table is not None:
            yield load_tables()[table].schema.empty_table()
    except LakehouseError:
        raise
    except Exception as error:
        raise EngineError(
            f"A worker failed while reading ({type(error).__name__}).",
            "Nothing was stored; run the same command again.",
        ) from None


def _rows_of(piece: ProcessedBatch, table: str) -> pa.Table:
    rows, schema = piece.batch.tables.get(table), load_tables()[table].schema
    return schema.empty_table() if rows is None else conform(rows, schema)

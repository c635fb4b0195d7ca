"""The Ray engine, and the public Ray doors; the only module that knows Ray.

- a datasource turns sealed lists of files into read tasks; each calls ``ingest.process`` and
  yields clean rows: packed, so that one dataset carries every table, or typed, of one table
- a datasink unpacks, joins and writes data files in workers, and commits on the driver

Only de-identified rows, counts and sealed lists of files ever lie in Ray's object store.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import Any

import pyarrow as pa
import ray
from ray.data import DataContext, Datasource, ReadTask, read_datasource
from ray.data._internal.execution.interfaces import TaskContext
from ray.data.block import Block, BlockMetadata
from ray.data.datasource import Datasink, WriteResult

from lakehouse.batch import CleanBatch, conform
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import EngineError, LakehouseError
from lakehouse.pipeline.arrow_memory import ingest_allocator
from lakehouse.pipeline.blocks import BlockProvenance, pack, unpack
from lakehouse.pipeline.engine import EngineJob, EngineResult, ProcessConfig, Processed
from lakehouse.pipeline.ingest import process
from lakehouse.pipeline.progress import Progress
from lakehouse.pipeline.reports import FileReport, Tally
from lakehouse.pipeline.writing import Writer
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.sources.encryption import decrypt_files, encrypt_files
from lakehouse.sources.input_file import InputFile
from lakehouse.sources.packed_list import PackedList
from lakehouse.storage.io.data_files import WriteSpec, WrittenFile

TASK_BYTES = 32 << 20
"""Unpacked content that one read task takes on; a larger file is a task of its own. At 250 MB on
two cores, twice as much left one of them idle at the end, and half cost a tenth more in starts."""

FILE_BYTES = 64 << 10
"""What opening a file costs besides its content, in bytes read."""

WRITE_BYTES = 48 << 20
"""Bytes of packed blocks that one write task takes on."""

BLOCK_BYTES = 16 << 20
STORE_BYTES = 2 << 30
"""Ray's object store on a machine of its own, at most; more spills to disk, all de-identified."""

PIECES_PER_TASK = 1000
"""Task numbers that one write task may use for the files it writes."""

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody outside learns that this cluster exists
    "RAY_worker_niceness": "0",  # Ray's own 15 starves workers on a busy machine
}

Written = tuple[list[WrittenFile], PackedList[FileReport], list[BlockProvenance]]


def run(work: EngineJob, progress: Progress) -> EngineResult:
    """Read and write on the cluster; the driver only collects what was written."""
    with connected(work.address), _watched(progress) as counter:
        secret = Secret.load(work.config.key_path)
        source = Files(work.files, work.config, secret, counter)
        sink = PackedDatasink(work.spec, work.attempt)
        _drive(source, sink)
    return EngineResult(sink.files, sink.reports)


def _drive(source: Files, sink: PackedDatasink) -> None:
    try:
        dataset = read_datasource(source, override_num_blocks=source.n_tasks)
        dataset.write_datasink(sink)
    except Exception as error:
        raise _clear(error) from None


def _clear(error: BaseException) -> LakehouseError:
    """Return the one error that a person should see; the text of a foreign one may hold data."""
    seen: BaseException | None = error
    while seen is not None:
        cause = getattr(seen, "cause", None)
        for candidate in (seen, cause):
            if isinstance(candidate, LakehouseError):
                return type(candidate)(*candidate.args)
        seen = cause if isinstance(cause, BaseException) else seen.__cause__ or seen.__context__
    return EngineError(
        f"Ray could not finish the work ({type(error).__name__}).",
        "Nothing was stored; run the same command again, or with --engine local.",
    )


# ------------------------------------------------------------------ the cluster


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Have a cluster: the one this process uses already, the one named, or a new local one.

    Raises:
        EngineError: The cluster cannot be reached, or Ray does not start.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not ray.is_initialized():
        options: dict[str, Any] = {"address": address or "local", "log_to_driver": False}
        if address is None:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            options |= {
                "include_dashboard": False,
                "object_store_memory": min(STORE_BYTES, memory // 5),
            }
        try:
            ray.init(logging_level=logging.ERROR, **options)
        except Exception as error:
            raise EngineError(
                f"Ray could not be {'reached' if address else 'started'} ({type(error).__name__}).",
                "Check the address, or use --engine local.",
            ) from None
    with _quiet_and_strict():
        yield


@contextmanager
def _quiet_and_strict() -> Iterator[None]:
    """Set what Ray Data does while we use it; a person's own settings come back afterwards."""
    context = DataContext.get_current()
    wanted: dict[str, Any] = {
        "target_max_block_size": BLOCK_BYTES,
        "max_errored_blocks": 0,  # anything else drops good neighbours without a word
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "enable_auto_log_stats": False,
        "raise_original_map_exception": True,
        # kept apart, reading and writing would have half of the cores each, whatever there is to do
        "op_resource_reservation_enabled": False,
    }
    before = {name: getattr(context, name) for name in wanted}
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.CRITICAL)
    for name, value in wanted.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)


class _Counter:
    """Adds up what workers have done; asked by the progress bar."""

    def __init__(self) -> None:
        self._new = Tally()

    def add(self, tally: Tally) -> None:
        self._new += tally

    def take(self) -> Tally:
        taken, self._new = self._new, Tally()
        return taken


@contextmanager
def _watched(progress: Progress) -> Iterator[Any]:
    """Have a counter that workers tell their work, when somebody looks."""
    if not progress.enabled:
        yield None
        return
    counter = ray.remote(num_cpus=0)(_Counter).remote()
    done = Event()

    def watch() -> None:
        while not done.wait(0.5):
            progress.advance(ray.get(counter.take.remote()))

    watcher = Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield counter
    finally:
        done.set()
        watcher.join()
        progress.advance(ray.get(counter.take.remote()))
        ray.kill(counter)


# ------------------------------------------------------------------ reading


class Files(Datasource):
    """Files as read tasks that yield packed blocks, or the typed rows of one table."""

    def __init__(
        self,
        files: Collection[InputFile],
        job: ProcessConfig,
        secret: Secret,
        counter: Any = None,
        table: str | None = None,
    ) -> None:
        super().__init__()
        policy = load_policy(job.profile)
        made = BlockProvenance(secret.key_id, policy.sha256, job.options.time_zone)
        self._bytes: list[int] = []
        self._read: list[partial[Iterator[pa.Table]]] = []
        for group in grouped(files):
            self._bytes.append(sum(f.content_size for f in group))
            sealed = encrypt_files(group, secret)
            self._read.append(partial(_read, sealed, job, made, counter, table))

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


def grouped(files: Collection[InputFile]) -> Iterator[list[InputFile]]:
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
    sealed: bytes, job: ProcessConfig, made: BlockProvenance, counter: Any, table: str | None
) -> Iterator[pa.Table]:
    """Run in a worker: yield the blocks of a group of files."""
    try:
        files = decrypt_files(sealed, Secret.load(job.key_path))
        told: list[Any] = []
        with ingest_allocator():
            for piece in process(files, job):
                if counter is not None:
                    told.append(counter.add.remote(piece.tally))
                block = pack(piece, made) if table is None else _typed(piece, table)
                del piece
                if len(block):
                    yield block
                del block
                # Ray keeps a worker for the next task: what this one is done with goes back now.
                pa.default_memory_pool().release_unused()
        ray.get(told)  # nobody asks for the sum before all of it has arrived
        if table is not None:
            yield load_tables()[table].schema.empty_table()
    except LakehouseError:
        raise
    except Exception as error:
        raise EngineError(
            f"A worker failed while reading ({type(error).__name__}).",
            "Nothing was stored; run the same command again.",
        ) from None


def _typed(piece: Processed, table: str) -> pa.Table:
    rows, schema = piece.batch.tables.get(table), load_tables()[table].schema
    return schema.empty_table() if rows is None else conform(rows, schema)


# ------------------------------------------------------------------ writing


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
                    for batch, told, made in unpack(block):
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

"""Sorted Parquet data files, written in workers that have no catalog.

A worker gets a ``WriteSpec`` and writes; what it returns, one ``WrittenFile`` per file, is all
that a commit needs: no footer is read again. A file lies in the folder of its attempt,
``<table>/data/<attempt>/<task>-<n>.parquet``, so that the files of an attempt that died are found
by their folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.batch import ENCODED, compacted, conform
from lakehouse.errors import CommitError
from lakehouse.storage.io.column_metrics import Metrics, metrics
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import Files, join
from lakehouse.storage.io.storage_errors import storage_errors

FIELD_ID = b"PARQUET:field_id"

ROW_GROUP_ROWS = 122_880
"""Rows per row group: DuckDB's own vector layout, and its unit of parallel reading.

Also the most rows of a page. A reader unpacks page by page, and pays for each: with the 20,000 rows
of PyArrow, seven times as many, DuckDB takes 1.6 times as long to read 17 columns of observations.
Smaller pages are for readers that skip some by an index of the pages, which PyArrow writes only
when asked."""

TARGET_BYTES = 128 * 2**20
"""Size on disk at which a data file is closed and the next begun."""

ZSTD_LEVEL = 1

WRITE_BATCH = 8192
"""Values that go to the encoder at a time: a tenth less time than with 1024, PyArrow's own, and
pages that pass their size by no more than so many values."""

_SAMPLE = 2048


@dataclass(frozen=True)
class TableSpec:
    """How one table's files are written.

    Attributes:
        name: Name of the table.
        location: Folder of the table.
        schema: Arrow schema; each field carries its Iceberg id as ``PARQUET:field_id``.
        sort: Columns by which rows are sorted inside a file.
        bounded: Columns that keep a smallest and largest value.
        spec_id: Id of the table's partition spec.
        buckets: Number of buckets, 0 when the table is not partitioned.
        bucket_source: Column that is hashed into buckets.
    """

    name: str
    location: str
    schema: pa.Schema
    sort: tuple[str, ...]
    bounded: frozenset[str]
    spec_id: int = 0
    buckets: int = 0
    bucket_source: str = ""


@dataclass(frozen=True)
class WriteSpec:
    """Everything a worker needs to write data files; small, picklable, without a catalog.

    Attributes:
        tables: Each table by name.
        attempts: Folder of the attempts' leases.
        files: Access to the storage; never shown, since it may hold credentials.
        target_bytes: Size at which a file is closed.
    """

    tables: dict[str, TableSpec] = field(repr=False)
    attempts: str
    files: Files = field(repr=False)
    target_bytes: int = TARGET_BYTES


@dataclass(frozen=True)
class WrittenFile:
    """One data file that is written and not yet committed.

    Attributes:
        table: Name of the table.
        location: Where it is.
        rows: Number of rows.
        size: Bytes.
        spec_id: Partition spec it follows.
        partition: Its partition value: empty, or one bucket (None for rows without a patient).
        metrics: Column sizes, counts and bounds for the manifest.
    """

    table: str
    location: str
    rows: int
    size: int
    spec_id: int
    partition: tuple[int | None, ...]
    metrics: Metrics = field(repr=False)


def lease_location(attempts: str, attempt: str) -> str:
    """Return where the lease of an attempt is; it exists as long as the attempt may write."""
    return join(attempts, f"{attempt}.lease")


def write_tables(
    spec: WriteSpec, tables: Mapping[str, pa.Table], attempt: str, task: int
) -> list[WrittenFile]:
    """Write the rows of some tables into new Parquet files, sorted and split to size.

    Runs anywhere. Nothing is visible to readers before ``IngestTransaction.commit``.

    Args:
        spec: From ``Warehouse.write_spec()``.
        tables: De-identified rows by table; tables without rows write nothing.
        attempt: ``IngestTransaction.attempt``.
        task: Number of this piece of work, unique within the attempt; a task that is run again
            after its worker died takes the same number and replaces its files.

    Returns:
        One entry per file, for ``IngestTransaction.commit``.

    Raises:
        CommitError: The storage is full or refuses, or the attempt is closed.
    """
    written: list[WrittenFile] = []
    with storage_errors():
        for name, rows in tables.items():
            if rows.num_rows:
                written += _write_table(spec, spec.tables[name], rows, attempt, task)
    # Whoever takes this attempt for dead removes its lease first and its files second. Looking
    # for the lease after writing closes the gap: either they saw the files, or we see no lease.
    if not spec.files.exists(lease_location(spec.attempts, attempt)):
        for file in written:
            spec.files.delete(file.location)
        raise CommitError("The ingest that this work belongs to has ended.", "Run it again.")
    return written


def _write_table(
    spec: WriteSpec, table: TableSpec, rows: pa.Table, attempt: str, task: int
) -> Iterator[WrittenFile]:
    folder = join(table.location, "data", attempt)
    rows = conform(rows, table.schema, encoded=True)
    count = 0
    for partition, part in _partitions(table, rows):
        position = 0
        while position < part.num_rows:
            location = join(folder, f"{task:05d}-{count:04d}.parquet")
            file, position = write_file(spec, table, part, position, location)
            yield replace(file, partition=partition)
            count += 1


def write_file(
    spec: WriteSpec, table: TableSpec, rows: pa.Table, position: int, location: str
) -> tuple[WrittenFile, int]:
    """Write rows from a position on until the file has its target size.

    Returns:
        The file, and the position of the first row that is not in it.
    """
    bounded = [n for n in rows.column_names if n in table.bounded]
    with spec.files.output(location) as sink:
        writer = pq.ParquetWriter(
            sink,
            rows.schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=[f.name for f in rows.schema if _worth_a_dictionary(rows[f.name])],
            write_statistics=bounded or False,
            write_batch_size=WRITE_BATCH,
            max_rows_per_page=ROW_GROUP_ROWS,
            store_schema=False,
        )
        first = position
        while position < rows.num_rows and (position == first or sink.tell() < spec.target_bytes):
            writer.write_table(_row_group(rows, position), ROW_GROUP_ROWS)
            position = min(position + ROW_GROUP_ROWS, rows.num_rows)
        failpoint(f"writing:{table.name}")
        writer.close()
        footer = writer.writer.metadata
        sink.flush()
        size = sink.tell()
    part = rows.slice(first, position - first)
    ids = {f.name: int(f.metadata[FIELD_ID]) for f in table.schema}
    known = metrics(footer, part, ids, table.bounded)
    return WrittenFile(
        table.name, location, part.num_rows, size, table.spec_id, (), known
    ), position


def _row_group(rows: pa.Table, position: int) -> pa.Table:
    """Return the rows of the row group that begins at a position, with dictionaries of its own.

    Parquet stores the dictionary of a column once a row group, and whole.
    """
    if position == 0 and rows.num_rows <= ROW_GROUP_ROWS:
        return rows
    group = rows.slice(position, ROW_GROUP_ROWS)
    columns = [
        compacted(column.combine_chunks()) if pa.types.is_dictionary(column.type) else column
        for column in group.columns
    ]
    return pa.Table.from_arrays(columns, schema=group.schema)


def _stored(rows: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    """Return the rows as they are stored: sorted by the keys, with dictionaries.

    One column after the other, so that the rows do not lie in memory once more while they move.
    """
    sorting = {key: _encoded(rows[key]) for key in keys}
    order = _order(sorting)
    columns = []
    fields = []
    for f in rows.schema:
        column = sorting[f.name] if f.name in sorting else _encoded(rows[f.name])
        columns.append(column if order is None else column.take(order))
        fields.append(pa.field(f.name, column.type, metadata={FIELD_ID: f.metadata[FIELD_ID]}))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _encoded(column: pa.ChunkedArray) -> pa.Array:
    """Dictionary-encode what repeats itself: sorting then moves integers, not text."""
    whole = column.combine_chunks()
    if whole.type == ENCODED:
        return compacted(whole)
    repeats = pa.types.is_string(whole.type) and _repeats(whole)
    return whole.dictionary_encode() if repeats else whole


def _worth_a_dictionary(column: pa.ChunkedArray) -> bool:
    """Return whether Parquet should look for equal values: among times it would look in vain."""
    return pa.types.is_dictionary(column.type) or (
        not pa.types.is_string(column.type) and _repeats(column)
    )


def _repeats(column: pa.Array | pa.ChunkedArray) -> bool:
    sample = column.slice(0, _SAMPLE)
    return len(pc.unique(sample)) <= len(sample) // 2


def _partitions(
    table: TableSpec, rows: pa.Table
) -> Iterator[tuple[tuple[int | None, ...], pa.Table]]:
    if not table.buckets:
        yield (), _stored(rows, table.sort)
        return
    buckets = bucket_of(rows[table.bucket_source], table.buckets)
    for value in sorted(pc.unique(buckets).to_pylist(), key=lambda b: -1 if b is None else b):
        mask = pc.is_null(buckets) if value is None else pc.equal(buckets, value)
        yield (value,), _stored(rows.filter(mask), table.sort)


def bucket_of(column: pa.ChunkedArray, buckets: int) -> pa.Array:
    """Return the Iceberg bucket of each value."""
    from pyiceberg_core import transform

    plain = column.cast(pa.string()).combine_chunks()
    return transform.bucket(plain, buckets)


def _order(keys: Mapping[str, pa.Array]) -> pa.Array | None:
    """Return the positions of the rows in the order of the keys, or None: they are in order."""
    if not keys:
        return None
    ranks: dict[str, pa.Array] = {}
    for key, column in keys.items():
        begins = _beginnings(column)
        if begins is not None:
            ranks[f"{key} begins"] = begins
        ranks[key] = _ranks(column)
    order = _order_of(pa.table(ranks))
    if np.array_equal(order, np.arange(len(order), dtype=order.dtype)):
        return None
    return pa.array(order)


def _order_of(ranks: pa.Table) -> npt.NDArray[np.integer]:
    """Return the positions of rows in the order of all columns.

    NumPy sorts integers five times as fast as Arrow sorts by several columns: where the first is
    one without nulls, and tells most rows apart, the others alone are left to Arrow.
    """
    keys = [(name, "ascending") for name in ranks.column_names]
    if pa.types.is_uint64(ranks.schema.field(0).type):
        first = ranks.column(0).to_numpy()
        order = np.argsort(first)
        equal = np.diff(first[order]) == 0
        tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
        if len(tied) <= len(order) // 2:
            rows = np.sort(order[tied])  # so that Arrow leaves equal ones as they came
            among = pc.sort_indices(ranks.take(pa.array(rows)), sort_keys=keys)
            order[tied] = rows[among.to_numpy()]
            return order
    positions: npt.NDArray[np.int64] = pc.sort_indices(ranks, sort_keys=keys).to_numpy()
    return positions


def _ranks(column: pa.Array) -> pa.Array:
    """Replace dictionary codes by the rank of their value, so that integers are compared."""
    if not pa.types.is_dictionary(column.type):
        return column
    order = pc.sort_indices(column.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return pa.array(rank).take(column.indices)


def _beginnings(column: pa.Array) -> pa.Array | None:
    """Return the first 8 bytes of each string as an integer of the same order.

    Comparing these first halves the time of sorting pseudonyms. None where the column holds
    anything else than strings of 8 bytes and more.
    """
    if not pa.types.is_string(column.type) or column.null_count:
        return None
    if column.offset or not len(column):
        return None
    _, ends, data = column.buffers()
    offsets = np.frombuffer(ends, dtype=np.int32, count=len(column) + 1)
    if (np.diff(offsets) < 8).any():
        return None
    # one number at each byte: an eighth of the time of an index for every byte
    over = np.ndarray(len(data) - 7, ">u8", data, strides=(1,))
    return pa.array(over[offsets[:-1]].astype(np.uint64))

"""Writes sorted Parquet data files in workers that have no catalog.

A worker gets a ``WriteSpec`` and returns one ``WrittenFile`` per file. That is all that a commit
needs, so nobody reads a footer again. A file lies in the folder of its attempt
(``<table>/data/<attempt>/<task>-<n>.parquet``), which is how recovery finds the files of a dead
attempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.batch import ENCODED, compact_dictionary, conform
from lakehouse.errors import CommitError
from lakehouse.storage.io.column_metrics import ColumnMetrics, collect_metrics
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import Files, join
from lakehouse.storage.io.storage_errors import storage_errors

FIELD_ID = b"PARQUET:field_id"

ROW_GROUP_ROWS = 122_880
"""Rows per row group: the size of DuckDB's own row groups, its unit of parallel reading.

A page holds as many at most. A reader pays for each page that it unpacks: PyArrow's 20,000 rows
make seven times as many pages, and DuckDB then takes 1.6 times as long to read 17 columns of
observations. Smaller pages help only readers with a page index, which PyArrow does not write by
default."""

TARGET_BYTES = 128 * 2**20
"""Size on disk at which the writer closes a data file and begins the next."""

ZSTD_LEVEL = 1

WRITE_BATCH = 8192
"""Values that go to the encoder at a time: writing takes a tenth less time than with PyArrow's
1024, and a page exceeds its size by no more than so many values."""

_SAMPLE_ROWS = 2048


@dataclass(frozen=True)
class TableSpec:
    """Layout of one table's data files: schema, sort order, bounds and buckets.

    Attributes:
        name: Name of the table.
        location: Folder of the table.
        schema: Arrow schema; each field carries its Iceberg id as ``PARQUET:field_id``.
        sort: Columns by which rows are sorted inside a file.
        bounded_columns: Columns whose smallest and largest value the file states.
        spec_id: Id of the table's partition spec.
        buckets: Number of buckets, 0 when the table is not partitioned.
        bucket_source: Column whose hash gives the bucket.
    """

    name: str
    location: str
    schema: pa.Schema
    sort: tuple[str, ...]
    bounded_columns: frozenset[str]
    spec_id: int = 0
    buckets: int = 0
    bucket_source: str = ""


@dataclass(frozen=True)
class WriteSpec:
    """Everything a worker needs to write data files; small, picklable, without a catalog.

    Attributes:
        tables: Layout of each table by name.
        attempts: Folder of the attempts' leases.
        files: Access to the storage; never printed, since it may hold credentials.
        target_bytes: Size at which the writer closes a file.
    """

    tables: dict[str, TableSpec] = field(repr=False)
    attempts: str
    files: Files = field(repr=False)
    target_bytes: int = TARGET_BYTES


@dataclass(frozen=True)
class WrittenFile:
    """A data file that no commit has made visible yet.

    Attributes:
        table: Name of the table.
        location: Full location of the file.
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
    metrics: ColumnMetrics = field(repr=False)


def lease_location(attempts: str, attempt: str) -> str:
    """Return the location of an attempt's lease, a file that exists while the attempt may write."""
    return join(attempts, f"{attempt}.lease")


def write_tables(
    spec: WriteSpec, tables: Mapping[str, pa.Table], attempt: str, task: int
) -> list[WrittenFile]:
    """Write the rows of some tables into new Parquet files, sorted and split to size.

    Any worker may call this. Readers see nothing before ``IngestTransaction.commit``.

    Args:
        spec: From ``Warehouse.write_spec()``.
        tables: De-identified rows by table; tables without rows write nothing.
        attempt: ``IngestTransaction.attempt``.
        task: Number of this piece of work, unique within the attempt. A task that runs again
            after its worker died takes the same number and replaces its files.

    Returns:
        One entry per file, for ``IngestTransaction.commit``.

    Raises:
        CommitError: The storage is full or cannot be written, or the attempt has ended.
    """
    files: list[WrittenFile] = []
    with storage_errors():
        for name, rows in tables.items():
            if rows.num_rows:
                files += _write_table(spec, spec.tables[name], rows, attempt, task)
    # A process that takes this attempt for dead removes the lease first and the files second.
    # Looking for the lease after writing closes the gap: either that process saw the files, or
    # this one sees no lease.
    if not spec.files.exists(lease_location(spec.attempts, attempt)):
        for file in files:
            spec.files.delete(file.location)
        raise CommitError("The ingest that this work belongs to has ended.", "Run it again.")
    return files


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
    """Write one data file: rows from a position on, until it has the target size.

    Returns:
        The file, and the position of the first row that is not in it.
    """
    with_bounds = [n for n in rows.column_names if n in table.bounded_columns]
    with spec.files.output(location) as sink:
        writer = pq.ParquetWriter(
            sink,
            rows.schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=[f.name for f in rows.schema if _needs_dictionary(rows[f.name])],
            write_statistics=with_bounds or False,
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
    column_metrics = collect_metrics(footer, part, ids, table.bounded_columns)
    return WrittenFile(
        table.name, location, part.num_rows, size, table.spec_id, (), column_metrics
    ), position


def _row_group(rows: pa.Table, position: int) -> pa.Table:
    """Return the rows of one row group, with dictionaries that hold only their values.

    Parquet stores the whole dictionary of a column once per row group.
    """
    if position == 0 and rows.num_rows <= ROW_GROUP_ROWS:
        return rows
    group = rows.slice(position, ROW_GROUP_ROWS)
    columns = [
        compact_dictionary(column.combine_chunks())
        if pa.types.is_dictionary(column.type)
        else column
        for column in group.columns
    ]
    return pa.Table.from_arrays(columns, schema=group.schema)


def _sort_and_encode(rows: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    """Sort rows by the keys and dictionary-encode the columns whose values repeat.

    Columns move one after the other, so that memory never holds all rows twice.
    """
    sorting = {key: _encode_repeats(rows[key]) for key in keys}
    order = _sort_order(sorting)
    columns = []
    fields = []
    for f in rows.schema:
        column = sorting[f.name] if f.name in sorting else _encode_repeats(rows[f.name])
        columns.append(column if order is None else column.take(order))
        fields.append(pa.field(f.name, column.type, metadata={FIELD_ID: f.metadata[FIELD_ID]}))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _encode_repeats(column: pa.ChunkedArray) -> pa.Array:
    """Dictionary-encode a string column whose values repeat, so that sorting moves integers."""
    whole = column.combine_chunks()
    if whole.type == ENCODED:
        return compact_dictionary(whole)
    repeats = pa.types.is_string(whole.type) and _has_repeats(whole)
    return whole.dictionary_encode() if repeats else whole


def _needs_dictionary(column: pa.ChunkedArray) -> bool:
    """Return whether a dictionary pays: one of values that hardly repeat costs time and space."""
    return pa.types.is_dictionary(column.type) or (
        not pa.types.is_string(column.type) and _has_repeats(column)
    )


def _has_repeats(column: pa.Array | pa.ChunkedArray) -> bool:
    sample = column.slice(0, _SAMPLE_ROWS)
    return len(pc.unique(sample)) <= len(sample) // 2


def _partitions(
    table: TableSpec, rows: pa.Table
) -> Iterator[tuple[tuple[int | None, ...], pa.Table]]:
    if not table.buckets:
        yield (), _sort_and_encode(rows, table.sort)
        return
    buckets = bucket_of(rows[table.bucket_source], table.buckets)
    for value in sorted(pc.unique(buckets).to_pylist(), key=lambda b: -1 if b is None else b):
        mask = pc.is_null(buckets) if value is None else pc.equal(buckets, value)
        yield (value,), _sort_and_encode(rows.filter(mask), table.sort)


def bucket_of(column: pa.ChunkedArray, buckets: int) -> pa.Array:
    """Return the Iceberg bucket of each value (Iceberg spec, "Bucket Transform Details")."""
    from pyiceberg_core import transform

    texts = column.cast(pa.string()).combine_chunks()
    return transform.bucket(texts, buckets)


def _sort_order(keys: Mapping[str, pa.Array]) -> pa.Array | None:
    """Return the positions of the rows in the order of the keys, or None when they are sorted."""
    if not keys:
        return None
    ranks: dict[str, pa.Array] = {}
    for key, column in keys.items():
        first_bytes = _first_bytes(column)
        if first_bytes is not None:
            ranks[f"{key} begins"] = first_bytes
        ranks[key] = _ranks(column)
    order = _order_by_ranks(pa.table(ranks))
    if np.array_equal(order, np.arange(len(order), dtype=order.dtype)):
        return None
    return pa.array(order)


def _order_by_ranks(ranks: pa.Table) -> npt.NDArray[np.integer]:
    """Return the positions of rows in the order of all rank columns.

    NumPy sorts integers five times as fast as Arrow sorts by several columns. So NumPy sorts by
    the first where it has no nulls and tells most rows apart, and Arrow sorts only the ties.
    """
    keys = [(name, "ascending") for name in ranks.column_names]
    if pa.types.is_uint64(ranks.schema.field(0).type):
        first = ranks.column(0).to_numpy()
        order = np.argsort(first)
        same_as_next = np.diff(first[order]) == 0
        tie_positions = np.flatnonzero(
            np.append(same_as_next, False) | np.append(False, same_as_next)
        )
        if len(tie_positions) <= len(order) // 2:
            rows = np.sort(order[tie_positions])  # Arrow then leaves equal rows in their order
            order_of_ties = pc.sort_indices(ranks.take(pa.array(rows)), sort_keys=keys)
            order[tie_positions] = rows[order_of_ties.to_numpy()]
            return order
    positions: npt.NDArray[np.int64] = pc.sort_indices(ranks, sort_keys=keys).to_numpy()
    return positions


def _ranks(column: pa.Array) -> pa.Array:
    """Replace dictionary codes by the rank of their value, so that sorting compares integers."""
    if not pa.types.is_dictionary(column.type):
        return column
    order = pc.sort_indices(column.dictionary).to_numpy()
    rank_of_code = np.empty(len(order), dtype=np.int64)
    rank_of_code[order] = np.arange(len(order))
    return pa.array(rank_of_code).take(column.indices)


def _first_bytes(column: pa.Array) -> pa.Array | None:
    """Return the first 8 bytes of each string as an integer of the same order.

    Comparing these first halves the time of sorting pseudonyms. Returns None for a column that
    holds nulls, other types or strings of fewer than 8 bytes.
    """
    if not pa.types.is_string(column.type) or column.null_count:
        return None
    if column.offset or not len(column):
        return None
    _, ends, data = column.buffers()
    offsets = np.frombuffer(ends, dtype=np.int32, count=len(column) + 1)
    if (np.diff(offsets) < 8).any():
        return None
    # An overlapping view with a number at each byte takes an eighth of the time of an index.
    at_every_byte = np.ndarray(len(data) - 7, ">u8", data, strides=(1,))
    return pa.array(at_every_byte[offsets[:-1]].astype(np.uint64))

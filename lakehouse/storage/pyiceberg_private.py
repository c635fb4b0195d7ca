"""The one place that touches pyiceberg where it makes no public promise.

``tests/storage/test_pyiceberg_private.py`` fails when a release of pyiceberg changes any of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import update_table_metadata
from pyiceberg.table.update.snapshot import ExpireSnapshots
from pyiceberg.typedef import Record

from lakehouse.storage.crashpoints import reached
from lakehouse.storage.datafiles import WrittenFile


def data_file(file: WrittenFile) -> DataFile:
    """Return the manifest entry's description of a file that this product wrote."""
    described = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=file.location,
        file_format=FileFormat.PARQUET,
        partition=Record(*file.partition),
        record_count=file.rows,
        file_size_in_bytes=file.size,
        column_sizes=file.metrics.column_sizes,
        value_counts=file.metrics.value_counts,
        null_value_counts=file.metrics.null_counts,
        nan_value_counts={},
        lower_bounds=file.metrics.lower,
        upper_bounds=file.metrics.upper,
        split_offsets=list(file.metrics.split_offsets),
        key_metadata=None,
        equality_ids=None,
        sort_order_id=None,
    )
    described.spec_id = file.spec_id
    return described


class _Transaction(Transaction):
    """A transaction that works out its metadata once for each change.

    pyiceberg's own does so, with a deep copy of all snapshots, some sixteen times per append.
    """

    _worked_out: tuple[object, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        if not self._updates:
            return self._table.metadata
        if self._worked_out is None or self._worked_out[0] is not self._updates:
            self._worked_out = (
                self._updates,
                update_table_metadata(self._table.metadata, self._updates),
            )
        return self._worked_out[1]


def append(
    table: Table,
    files: Sequence[WrittenFile],
    summary: Mapping[str, str],
    commit_id: uuid.UUID,
    drop: Sequence[int] = (),
) -> None:
    """Append files in one commit, tried once.

    Args:
        table: The table as loaded; the commit fails when it has moved on since.
        files: Files to append.
        summary: Properties of the snapshot.
        commit_id: Becomes part of the names of new manifests, by which those of a dead attempt
            are found.
        drop: Snapshots to drop from the history in the same commit.
    """
    with _Transaction(table) as transaction:
        if drop:
            ExpireSnapshots(transaction).by_ids(list(drop)).commit()
        update = transaction.update_snapshot(snapshot_properties=dict(summary))
        with update.merge_append() as producer:
            producer.commit_uuid = commit_id
            for file in files:
                producer.append_data_file(data_file(file))
        reached(f"appending:{table.name()[-1]}")

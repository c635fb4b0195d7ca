"""The one place that touches pyiceberg where it makes no public promise.

``tests/storage/test_pyiceberg_private.py`` fails when a release of pyiceberg changes any of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record

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


def append(
    table: Table, files: Sequence[WrittenFile], summary: Mapping[str, str], commit_id: uuid.UUID
) -> None:
    """Append files in one commit, tried once.

    Args:
        table: The table as loaded; the commit fails when it has moved on since.
        files: Files to append.
        summary: Properties of the snapshot.
        commit_id: Becomes part of the names of new manifests, by which those of a dead attempt
            are found.
    """
    with (
        table.transaction() as transaction,
        transaction.update_snapshot(snapshot_properties=dict(summary)).merge_append() as producer,
    ):
        producer.commit_uuid = commit_id
        for file in files:
            producer.append_data_file(data_file(file))

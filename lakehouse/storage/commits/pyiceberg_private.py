"""The one place that touches pyiceberg where it makes no public promise.

``tests/storage/test_private.py`` fails when a release of pyiceberg changes any of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence

from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import _apply_table_update, _TableMetadataUpdateContext
from pyiceberg.table.update.snapshot import ExpireSnapshots, ManageSnapshots, _OverwriteFiles
from pyiceberg.typedef import Record

from lakehouse.storage.io.data_files import WrittenFile
from lakehouse.storage.io.failpoints import failpoint


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

    pyiceberg's own does so, with a deep copy of all snapshots, some sixteen times per append. Here
    it is once and without the copy, since nobody changes what a transaction shows.
    """

    _worked_out: tuple[object, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        if not self._updates:
            return self._table.metadata
        if self._worked_out is None or self._worked_out[0] is not self._updates:
            metadata, context = self._table.metadata, _TableMetadataUpdateContext()
            for update in self._updates:
                metadata = _apply_table_update(update, metadata, context)
            self._worked_out = (self._updates, metadata)
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
        failpoint(f"appending:{table.name()[-1]}")
    # The manifest of the new files is written first and then merged into a larger one, which
    # leaves it without a use.
    if len(written := list(producer._written_manifests)) > 1:
        made = table.snapshot_by_id(producer.snapshot_id)
        used = {m.manifest_path for m in made.manifests(table.io)} if made is not None else written
        for unused in set(written).difference(used):
            table.io.delete(unused)


def replace(
    table: Table,
    removed: Collection[DataFile],
    added: Sequence[WrittenFile],
    summary: Mapping[str, str],
    commit_id: uuid.UUID,
) -> None:
    """Put files in the place of others in one commit, tried once.

    pyiceberg has no operation for "the same rows in other files", so the snapshot says
    ``overwrite`` and its summary says the rest. That snapshot must list the files it removed
    (Iceberg spec, "Manifests"), which every query on it would read; a second one, without rows of
    its own and in the same commit, lists only what is there.

    Raises:
        ValidationException: One of the files to remove is not in the table any more.
    """
    with _Transaction(table) as transaction:
        update = transaction.update_snapshot(snapshot_properties=dict(summary))
        with update.overwrite(commit_uuid=commit_id) as producer:
            _swap(producer, removed, added)
        update = transaction.update_snapshot(snapshot_properties=dict(summary))
        with update.merge_append() as listing:
            listing.commit_uuid = commit_id
        failpoint(f"replacing:{table.name()[-1]}")


def expire(table: Table, snapshots: Sequence[int]) -> None:
    """Drop snapshots from the history; deletes no file."""
    with _Transaction(table) as transaction:
        ExpireSnapshots(transaction).by_ids(list(snapshots)).commit()


def tag(table: Table, name: str, snapshot: int | None) -> None:
    """Point a tag at a snapshot, or remove it."""
    with _Transaction(table) as transaction:
        if name in table.metadata.refs:
            ManageSnapshots(transaction).remove_tag(name).commit()
        if snapshot is not None:
            ManageSnapshots(transaction).create_tag(snapshot, name).commit()


def erase(
    table: Table,
    changes: Mapping[str, tuple[Collection[DataFile], Sequence[WrittenFile]]],
    summary: Mapping[str, str],
    new_id: Callable[[], uuid.UUID],
) -> None:
    """Put files in the place of others on main and in every release, and drop the history.

    Args:
        table: The table as loaded.
        changes: Per reference (``main`` or a tag), what to remove and what to add.
        summary: Properties of the snapshots.
        new_id: Gives the id of each commit.
    """
    with _Transaction(table) as transaction:
        for name, (removed, added) in changes.items():
            branch = MAIN_BRANCH if name == MAIN_BRANCH else f"without-{name}"
            if branch != MAIN_BRANCH:
                pinned = table.metadata.refs[name].snapshot_id
                ManageSnapshots(transaction).create_branch(pinned, branch).commit()
            update = transaction.update_snapshot(snapshot_properties=dict(summary), branch=branch)
            with update.overwrite(commit_uuid=new_id()) as producer:
                _swap(producer, removed, added)
            if branch != MAIN_BRANCH:
                # A tag cannot be written to: its place is taken by the head of a branch.
                ManageSnapshots(transaction).remove_tag(name).commit()
                ManageSnapshots(transaction).create_tag(producer.snapshot_id, name).commit()
                ManageSnapshots(transaction).remove_branch(branch).commit()
        kept = {ref.snapshot_id for ref in transaction.table_metadata.refs.values()}
        old = [s.snapshot_id for s in transaction.table_metadata.snapshots]
        if gone := [i for i in old if i not in kept]:
            ExpireSnapshots(transaction).by_ids(gone).commit()
        failpoint(f"erasing:{table.name()[-1]}")


def _swap(
    producer: _OverwriteFiles, removed: Collection[DataFile], added: Sequence[WrittenFile]
) -> None:
    for file in removed:
        producer.delete_data_file(file)
    for file in added:
        producer.append_data_file(data_file(file))

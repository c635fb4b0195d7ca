"""All uses of pyiceberg's private names: appends, replacements, tags and expiry of snapshots.

``tests/storage/test_pyiceberg_private.py`` fails when a release of pyiceberg changes any of them.
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


def data_file_entry(file: WrittenFile) -> DataFile:
    """Return a data file that this software wrote as pyiceberg describes it in a manifest."""
    entry = DataFile.from_args(
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
    entry.spec_id = file.spec_id
    return entry


class _Transaction(Transaction):
    """A pyiceberg transaction that computes its metadata once per change.

    pyiceberg computes it some sixteen times per append, each time with a deep copy of all
    snapshots. This class does so once and without the copy: nobody changes what a transaction
    shows.
    """

    _cached_metadata: tuple[object, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        if not self._updates:
            return self._table.metadata
        if self._cached_metadata is None or self._cached_metadata[0] is not self._updates:
            metadata, context = self._table.metadata, _TableMetadataUpdateContext()
            for update in self._updates:
                metadata = _apply_table_update(update, metadata, context)
            self._cached_metadata = (self._updates, metadata)
        return self._cached_metadata[1]


def append_files(
    table: Table,
    files: Sequence[WrittenFile],
    summary: Mapping[str, str],
    commit_id: uuid.UUID,
    drop: Sequence[int] = (),
) -> None:
    """Append data files in one commit, without a retry.

    Args:
        table: The table as loaded; the commit fails when the table has changed since.
        files: Files to append.
        summary: Properties of the snapshot.
        commit_id: Part of the names of new manifests, by which recovery finds those of a dead
            attempt.
        drop: Snapshots to drop from the history in the same commit.
    """
    with _Transaction(table) as transaction:
        if drop:
            ExpireSnapshots(transaction).by_ids(list(drop)).commit()
        update = transaction.update_snapshot(snapshot_properties=dict(summary))
        with update.merge_append() as producer:
            producer.commit_uuid = commit_id
            for file in files:
                producer.append_data_file(data_file_entry(file))
        failpoint(f"appending:{table.name()[-1]}")
    # pyiceberg first writes a manifest of the new files and may then merge it into a larger one,
    # which leaves the first unused.
    if len(manifests := list(producer._written_manifests)) > 1:
        snapshot = table.snapshot_by_id(producer.snapshot_id)
        in_use = (
            {m.manifest_path for m in snapshot.manifests(table.io)}
            if snapshot is not None
            else manifests
        )
        for location in set(manifests).difference(in_use):
            table.io.delete(location)


def replace_files(
    table: Table,
    old_files: Collection[DataFile],
    new_files: Sequence[WrittenFile],
    summary: Mapping[str, str],
    commit_id: uuid.UUID,
) -> None:
    """Replace data files by others with the same rows in one commit, without a retry.

    pyiceberg has no operation for "the same rows in other files", so the snapshot says
    ``overwrite`` and its summary says the rest. That snapshot must list the files it removed
    (Iceberg spec, "Manifests"), and every query on it would read that list. A second snapshot in
    the same commit adds no rows and lists only the files that remain.

    Raises:
        ValidationException: A file to remove is no longer in the table.
    """
    with _Transaction(table) as transaction:
        update = transaction.update_snapshot(snapshot_properties=dict(summary))
        with update.overwrite(commit_uuid=commit_id) as producer:
            _swap_files(producer, old_files, new_files)
        update = transaction.update_snapshot(snapshot_properties=dict(summary))
        with update.merge_append() as listing:
            listing.commit_uuid = commit_id
        failpoint(f"replacing:{table.name()[-1]}")


def expire_snapshots(table: Table, snapshots: Sequence[int]) -> None:
    """Drop snapshots from the history of a table without deleting files."""
    with _Transaction(table) as transaction:
        ExpireSnapshots(transaction).by_ids(list(snapshots)).commit()


def set_tag(table: Table, name: str, snapshot: int | None) -> None:
    """Point a tag at a snapshot, or remove it."""
    with _Transaction(table) as transaction:
        if name in table.metadata.refs:
            ManageSnapshots(transaction).remove_tag(name).commit()
        if snapshot is not None:
            ManageSnapshots(transaction).create_tag(snapshot, name).commit()


def replace_everywhere(
    table: Table,
    changes: Mapping[str, tuple[Collection[DataFile], Sequence[WrittenFile]]],
    summary: Mapping[str, str],
    new_id: Callable[[], uuid.UUID],
) -> None:
    """Replace data files on main and in every release, and drop all other history.

    Args:
        table: The table as loaded.
        changes: Files to remove and files to add, per reference (``main`` or a tag).
        summary: Properties of the snapshots.
        new_id: Returns a new id for each commit.
    """
    with _Transaction(table) as transaction:
        for name, (old_files, new_files) in changes.items():
            branch = MAIN_BRANCH if name == MAIN_BRANCH else f"without-{name}"
            if branch != MAIN_BRANCH:
                tagged_snapshot = table.metadata.refs[name].snapshot_id
                ManageSnapshots(transaction).create_branch(tagged_snapshot, branch).commit()
            update = transaction.update_snapshot(snapshot_properties=dict(summary), branch=branch)
            with update.overwrite(commit_uuid=new_id()) as producer:
                _swap_files(producer, old_files, new_files)
            if branch != MAIN_BRANCH:
                # Iceberg commits to branches only, so the tag moves to the head of a branch.
                ManageSnapshots(transaction).remove_tag(name).commit()
                ManageSnapshots(transaction).create_tag(producer.snapshot_id, name).commit()
                ManageSnapshots(transaction).remove_branch(branch).commit()
        referenced = {ref.snapshot_id for ref in transaction.table_metadata.refs.values()}
        all_snapshots = [s.snapshot_id for s in transaction.table_metadata.snapshots]
        if unreferenced := [i for i in all_snapshots if i not in referenced]:
            ExpireSnapshots(transaction).by_ids(unreferenced).commit()
        failpoint(f"erasing:{table.name()[-1]}")


def _swap_files(
    producer: _OverwriteFiles, old_files: Collection[DataFile], new_files: Sequence[WrittenFile]
) -> None:
    for file in old_files:
        producer.delete_data_file(file)
    for file in new_files:
        producer.append_data_file(data_file_entry(file))

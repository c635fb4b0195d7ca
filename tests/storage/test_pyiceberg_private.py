"""What this product relies on in pyiceberg without a promise; fails loudly when it changes."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile
from pyiceberg.table import Transaction
from pyiceberg.table.update import update_table_metadata
from pyiceberg.table.update.snapshot import (
    ExpireSnapshots,
    ManageSnapshots,
    UpdateSnapshot,
    _OverwriteFiles,
)

from lakehouse.storage.commits import pyiceberg_private
from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

from .cases import content, ingest, rows


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("pyiceberg").startswith("0.12."), (
        "Read storage/commits/pyiceberg_private.py against the new release, then widen this."
    )


def test_a_transaction_works_out_its_metadata_in_one_place() -> None:
    assert isinstance(inspect.getattr_static(Transaction, "table_metadata"), property)
    source = inspect.getsource(Transaction.table_metadata.fget)  # type: ignore[attr-defined]
    assert "update_table_metadata(self._table.metadata, self._updates)" in source


def test_what_a_transaction_shows_is_what_pyiceberg_works_out(warehouse: Warehouse) -> None:
    for name in ("one", "two"):
        ingest(warehouse, name)
    table = warehouse.iceberg("patients")
    first = table.metadata.snapshots[0].snapshot_id
    transaction = pyiceberg_private._Transaction(table)
    ExpireSnapshots(transaction).by_ids([first]).commit()
    transaction.set_properties({"a": "b"})
    theirs = update_table_metadata(table.metadata, transaction._updates)
    assert transaction._updates
    assert (
        transaction.table_metadata.model_copy(update={"last_updated_ms": theirs.last_updated_ms})
        == theirs
    )
    assert first in [s.snapshot_id for s in table.metadata.snapshots]


def test_signatures_are_as_they_were() -> None:
    assert list(inspect.signature(ExpireSnapshots).parameters) == ["transaction"]
    assert list(inspect.signature(ManageSnapshots).parameters) == ["transaction"]
    assert "commit_uuid" in inspect.signature(UpdateSnapshot.overwrite).parameters
    for name in ("append_data_file", "delete_data_file", "snapshot_id"):
        assert hasattr(_OverwriteFiles, name)
    assert "self._written_manifests.append(" in inspect.getsource(
        _OverwriteFiles.new_manifest_output
    )
    assert isinstance(inspect.getattr_static(DataFile, "spec_id"), property)


def test_the_id_of_a_commit_is_in_the_names_of_its_manifests(warehouse: Warehouse) -> None:
    with IngestTransaction(warehouse, "one") as transaction:
        from lakehouse.storage.commits.cleanup import commit_id

        spec = warehouse.write_spec()
        written = write_tables(spec, {"patients": rows("one")["patients"]}, transaction.attempt, 0)
        named = commit_id(transaction.attempt)
        table = warehouse.iceberg("patients")
        pyiceberg_private.append_files(table, written, {"a": "b"}, named)
    snapshot = table.current_snapshot()
    assert snapshot is not None and snapshot.summary is not None
    assert snapshot.summary["a"] == "b"
    assert str(named) in snapshot.manifest_list
    assert all(str(named) in m.manifest_path for m in snapshot.manifests(table.io))


def test_metrics_equal_those_that_pyiceberg_works_out(warehouse: Warehouse) -> None:
    ingest(warehouse, "one", 50)
    for name in ("patients", "observations", "ingests"):
        table = warehouse.iceberg(name)
        (task,) = table.scan().plan_files()
        footer = pq.read_metadata(task.file.file_path)
        theirs = data_file_statistics_from_parquet_metadata(
            footer,
            compute_statistics_plan(table.schema(), table.properties),
            parquet_path_to_id_mapping(table.schema()),
        ).to_serialized_dict()
        ours = task.file
        assert ours.lower_bounds == theirs["lower_bounds"]
        assert ours.upper_bounds == theirs["upper_bounds"]
        assert ours.column_sizes == theirs["column_sizes"]
        assert ours.split_offsets == theirs["split_offsets"]
        assert ours.record_count == theirs["record_count"]
        for counted, mine in (
            ("value_counts", ours.value_counts),
            ("null_value_counts", ours.null_value_counts),
        ):
            assert theirs[counted].items() <= mine.items()


def test_the_summary_adds_up(warehouse: Warehouse) -> None:
    ingest(warehouse, "one", 5)
    ingest(warehouse, "two", 7)
    snapshot = warehouse.iceberg("patients").current_snapshot()
    assert snapshot is not None and snapshot.summary is not None
    assert snapshot.summary["total-records"] == "12"
    assert snapshot.summary["total-data-files"] == "2"
    assert len(content(warehouse, "patients")) == 12


def test_a_commit_to_a_table_that_moved_on_fails_and_cleans_up(warehouse: Warehouse) -> None:
    from pyiceberg.exceptions import CommitFailedException

    from lakehouse.storage.commits.cleanup import commit_id

    with IngestTransaction(warehouse, "one") as transaction:
        spec = warehouse.write_spec()
        written = write_tables(spec, {"patients": rows("one")["patients"]}, transaction.attempt, 0)
        stale = warehouse.iceberg("patients")
        warehouse.iceberg("patients").append(
            pa.table({"record_id": ["x"]}, pa.schema([pa.field("record_id", pa.string())]))
        )
        with pytest.raises(CommitFailedException):
            pyiceberg_private.append_files(stale, written, {}, commit_id(transaction.attempt))
    assert len(content(warehouse, "patients")) == 1


def test_after_a_compaction_no_manifest_lists_files_that_are_gone(warehouse: Warehouse) -> None:
    """DuckDB reads every entry of the current snapshot, those of removed files included."""
    for name in ("one", "two", "three"):
        ingest(warehouse, name)
    before = len(warehouse.iceberg("patients").metadata.snapshots)
    maintain(warehouse, tables=["patients"])
    table = warehouse.iceberg("patients")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    (manifest,) = snapshot.manifests(table.io)
    assert not manifest.has_existing_files() and not manifest.deleted_files_count
    assert len(table.metadata.snapshots) == before + 2
    assert len(content(warehouse, "patients")) == 9

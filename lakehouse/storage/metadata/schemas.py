"""Turns a table's definition into its Iceberg schema, properties and partition spec."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import pyarrow as pa
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from lakehouse.definitions.tables import Column, Table
from lakehouse.storage.metadata.settings import Settings

PARTITION_SOURCE = "patient_id"
PARTITION_NAME = "patient_bucket"

BOUNDED = frozenset({"none", "code", "patient", "date", "age"})
"""PHI classes whose columns state a smallest and largest value per file.

Stored values are de-identified, so a bound reveals nothing that the data does not. But a bound is
a second copy of a value, in manifests that outlive the data file until they expire. It pays only
where queries prune by it: patients, times, codes and counters. The other classes (numbers of
visits and orders, places, people, texts) have no bounds in manifests or Parquet footers.
"""

_TYPES: dict[pa.DataType, IcebergType] = {
    pa.string(): StringType(),
    pa.bool_(): BooleanType(),
    pa.int32(): IntegerType(),
    pa.int64(): LongType(),
    pa.float64(): DoubleType(),
    pa.date32(): DateType(),
    pa.timestamp("us", tz="UTC"): TimestamptzType(),
}


def iceberg_type(column: Column) -> IcebergType:
    """Return the Iceberg type of a column."""
    return _TYPES[column.type]


def iceberg_schema(table: Table) -> Schema:
    """Return the Iceberg schema of a table's definition, each column with its doc."""
    return Schema(
        *(
            NestedField(i, c.name, iceberg_type(c), required=False, doc=c.doc)
            for i, c in enumerate(table.columns.values(), 1)
        )
    )


def bounded_columns(table: Table) -> list[str]:
    """Return the columns whose smallest and largest value each file states."""
    return [c.name for c in table.columns.values() if c.phi in BOUNDED]


def partition_spec(table: Table, buckets: int) -> PartitionSpec:
    """Return the partition spec of a table: buckets by patient, or none.

    No table has a partition by time: dates shifted under ``safe_harbor`` span centuries.
    """
    if not buckets or table.bookkeeping or PARTITION_SOURCE not in table.columns:
        return UNPARTITIONED_PARTITION_SPEC
    source = list(table.columns).index(PARTITION_SOURCE) + 1
    return PartitionSpec(
        PartitionField(source, 1000, BucketTransform(num_buckets=buckets), PARTITION_NAME)
    )


def table_properties(table: Table, settings: Settings) -> dict[str, str]:
    """Return the Iceberg properties of a table: how to write it, and under which profile."""
    promises = {
        "lakehouse.profile": settings.profile,
        "lakehouse.key-id": settings.key_id,
        "lakehouse.policy-sha256": settings.policy_sha256,
        "lakehouse.data-use-agreement": settings.data_use_agreement,
    }
    return {
        "format-version": "2",
        "comment": table.doc,
        "write.parquet.compression-codec": "zstd",
        "commit.manifest-merge.enabled": "true",
        "commit.manifest.min-count-to-merge": "20",
        # `commits.retry` retries instead: before each try it looks for its own ingest id.
        "commit.retry.num-retries": "0",
        # A reader that has just read an older hint still finds that metadata file.
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": "10",
        **metrics_modes(table),
        **{k: v for k, v in promises.items() if v},
    }


def metrics_modes(table: Table) -> dict[str, str]:
    """Return the properties that make other writers state bounds of the same columns."""
    bounds = {f"write.metadata.metrics.column.{n}": "truncate(16)" for n in bounded_columns(table)}
    return {"write.metadata.metrics.default": "none", **bounds}


def fingerprint(tables: Mapping[str, Table] | Iterable[Table]) -> str:
    """Return a digest of table definitions; a different one means that tables may lack a column.

    Examples:
        >>> from lakehouse.definitions.tables import load_tables
        >>> fingerprint(load_tables()) == fingerprint(load_tables())
        True
    """
    definitions = tables.values() if isinstance(tables, Mapping) else tables
    digest = hashlib.sha256()
    for table in sorted(definitions, key=lambda t: t.name):
        digest.update(f"{table.name}|{table.doc}\n".encode())
        for c in table.columns.values():
            digest.update(f"{c.name}|{c.type}|{c.phi}|{c.doc}\n".encode())
    return digest.hexdigest()

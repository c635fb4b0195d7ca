"""From a table's definition to what Iceberg is told: schema, properties, partition."""

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
"""PHI classes whose columns keep a smallest and largest value per file.

What is stored is de-identified already, so a bound reveals nothing that the data does not. Still
a bound is a second copy of a value, in manifests that outlive the data file until they expire,
and only pays where queries prune by it: patients, times, codes and counters. Every other class
(numbers of visits and orders, places, people, texts) keeps none, neither in manifests nor in
Parquet footers.
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
    """Return the Iceberg schema of a definition, each column with its doc."""
    return Schema(
        *(
            NestedField(i, c.name, iceberg_type(c), required=False, doc=c.doc)
            for i, c in enumerate(table.columns.values(), 1)
        )
    )


def bounded(table: Table) -> list[str]:
    """Return the columns that keep a smallest and largest value per file."""
    return [c.name for c in table.columns.values() if c.phi in BOUNDED]


def partition(table: Table, buckets: int) -> PartitionSpec:
    """Return the partition of a table: buckets by patient, or none.

    No table is partitioned by time: under ``safe_harbor`` the shifted lines span centuries.
    """
    if not buckets or table.bookkeeping or PARTITION_SOURCE not in table.columns:
        return UNPARTITIONED_PARTITION_SPEC
    source = list(table.columns).index(PARTITION_SOURCE) + 1
    return PartitionSpec(
        PartitionField(source, 1000, BucketTransform(num_buckets=buckets), PARTITION_NAME)
    )


def properties(table: Table, settings: Settings) -> dict[str, str]:
    """Return the properties of a table: how it is written, and under which promise."""
    promised = {
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
        # The storage wing retries itself: before each try it looks for its own ingest id.
        "commit.retry.num-retries": "0",
        # A reader that holds the hint of a moment ago still finds its metadata file.
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": "10",
        **metrics_modes(table),
        **{k: v for k, v in promised.items() if v},
    }


def metrics_modes(table: Table) -> dict[str, str]:
    """Return the properties by which other writers keep the same columns' bounds as this one."""
    kept = {f"write.metadata.metrics.column.{n}": "truncate(16)" for n in bounded(table)}
    return {"write.metadata.metrics.default": "none", **kept}


def fingerprint(tables: Mapping[str, Table] | Iterable[Table]) -> str:
    """Return a digest of all definitions; another one means that tables may lack a column.

    Examples:
        >>> from lakehouse.definitions.tables import load_tables
        >>> fingerprint(load_tables()) == fingerprint(load_tables())
        True
    """
    listed = tables.values() if isinstance(tables, Mapping) else tables
    digest = hashlib.sha256()
    for table in sorted(listed, key=lambda t: t.name):
        digest.update(f"{table.name}|{table.doc}\n".encode())
        for c in table.columns.values():
            digest.update(f"{c.name}|{c.type}|{c.phi}|{c.doc}\n".encode())
    return digest.hexdigest()

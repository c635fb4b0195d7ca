"""Reads every data file once: compares it with its manifest and checks its values."""

from __future__ import annotations

import io
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.definitions.tables import Table, load_tables
from lakehouse.pipeline.tombstones import has_tombstone, read_tombstones
from lakehouse.storage.maintenance.inspection import (
    ManifestFacts,
    TableState,
    is_own_name,
    relative_path,
)
from lakehouse.storage.warehouse import Warehouse
from lakehouse.verification.parquet_pages import count_bloom_filters
from lakehouse.verification.rules import Checker

_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, EOFError)


class StoredValues:
    """Reads data files, applies the profile's rules to them, and collects other findings.

    Args:
        warehouse: The warehouse.
        checker: Checks the rules.

    Attributes:
        checker: The rules with their findings.
        n_files: Number of files read.
        row_differences: Rows of each table, less those that its manifests state.
        mismatches: Files that differ from their manifest, one line each.
        bloom_filters: Files with Bloom filters, one line each.
        erased_rows: Rows of erased patients, by table; None when the tombstones cannot be read.
    """

    def __init__(self, warehouse: Warehouse, checker: Checker) -> None:
        self._warehouse = warehouse
        self.checker = checker
        self.n_files = 0
        self.row_differences: Counter[str] = Counter()
        self.mismatches: list[str] = []
        self.bloom_filters: list[str] = []
        self.erased_rows: Counter[str] | None = Counter()
        self._tombstones: frozenset[str] = frozenset()
        try:
            self._tombstones = read_tombstones(warehouse)
        except Exception:  # pyiceberg fails in many ways on damaged files
            self.erased_rows = None

    def read_table(self, state: TableState) -> None:
        """Read every data file of a table in every snapshot."""
        definition = load_tables().get(state.name)
        if definition is not None:
            self.checker.check(definition, ())
        for location, stated in state.data_files.items():
            if location.endswith(".parquet"):
                self._read_file(state, definition, location, stated)

    def _read_file(
        self, state: TableState, definition: Table | None, location: str, stated: ManifestFacts
    ) -> None:
        data = self._warehouse.files.read(location)
        rows = 0
        if data is not None:
            self.n_files += 1
            name = relative_path(self._warehouse, location)
            shown = name if is_own_name(name) else f"a file of {state.name}"
            try:
                rows = pq.read_metadata(io.BytesIO(data)).num_rows
                if (rows, len(data)) != (stated.rows, stated.size):
                    self.mismatches.append(
                        f"{shown}: {rows:,} rows in {len(data):,} bytes; its manifest says "
                        f"{stated.rows:,} in {stated.size:,}"
                    )
                if count_bloom_filters(data):
                    self.bloom_filters.append(f"{shown} holds Bloom filters")
                if definition is not None:
                    self.checker.check(definition, [data])
                    self._count_erased_rows(definition, data)
            except _DAMAGE:
                self.mismatches.append(f"{shown} cannot be read")
        if stated.is_current:
            self.row_differences[state.name] += rows - stated.rows

    def _count_erased_rows(self, definition: Table, data: bytes) -> None:
        names = [c.name for c in definition.of_class("patient")]
        if not self._tombstones or self.erased_rows is None or not names:
            return
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(columns=names):
            for column in batch.columns:
                who = pa.chunked_array([column])
                self.erased_rows[definition.name] += (
                    pc.sum(has_tombstone(who, self._tombstones)).as_py() or 0
                )

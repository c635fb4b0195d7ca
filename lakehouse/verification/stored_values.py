"""Every data file read once: is it what its manifest says, and what does it hold."""

from __future__ import annotations

import io
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.definitions.tables import Table, load_tables
from lakehouse.pipeline.tombstones import erased, read_tombstones
from lakehouse.storage.maintenance.inspection import (
    ManifestFacts,
    TableState,
    is_own_name,
    relative_path,
)
from lakehouse.storage.warehouse import Warehouse
from lakehouse.verification.parquet_pages import bloom_filters
from lakehouse.verification.rules import Checker

_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, EOFError)


class Reading:
    """Reads data files, applies the profile's rules to them, and keeps what else is found.

    Args:
        warehouse: The warehouse.
        checker: Holds the rules.

    Attributes:
        checker: What the rules found.
        n_files: Files read.
        astray: Rows that each table has more, or fewer, than its manifests say.
        unlike: Files that are not what their manifest says, one line each.
        filtered: Files with Bloom filters, one line each.
        back: Rows of erased patients, by table; None when the tombstones cannot be read.
    """

    def __init__(self, warehouse: Warehouse, checker: Checker) -> None:
        self._warehouse = warehouse
        self.checker = checker
        self.n_files = 0
        self.astray: Counter[str] = Counter()
        self.unlike: list[str] = []
        self.filtered: list[str] = []
        self.back: Counter[str] | None = Counter()
        self._tombstones: frozenset[str] = frozenset()
        try:
            self._tombstones = read_tombstones(warehouse)
        except Exception:  # pyiceberg fails in many ways on damaged files
            self.back = None

    def table(self, state: TableState) -> None:
        """Read every data file of a table, of every snapshot."""
        definition = load_tables().get(state.name)
        if definition is not None:
            self.checker.check(definition, ())
        for location, stated in state.data_files.items():
            if location.endswith(".parquet"):
                self._file(state, definition, location, stated)

    def _file(
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
                    self.unlike.append(
                        f"{shown}: {rows:,} rows in {len(data):,} bytes; its manifest says "
                        f"{stated.rows:,} in {stated.size:,}"
                    )
                if bloom_filters(data):
                    self.filtered.append(f"{shown} holds Bloom filters")
                if definition is not None:
                    self.checker.check(definition, [data])
                    self._erased(definition, data)
            except _DAMAGE:
                self.unlike.append(f"{shown} cannot be read")
        if stated.is_current:
            self.astray[state.name] += rows - stated.rows

    def _erased(self, definition: Table, data: bytes) -> None:
        names = [c.name for c in definition.of_class("patient")]
        if not self._tombstones or self.back is None or not names:
            return
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(columns=names):
            for column in batch.columns:
                who = pa.chunked_array([column])
                self.back[definition.name] += pc.sum(erased(who, self._tombstones)).as_py() or 0

"""Reads stored rows by source file or patient, for replays and erasures."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.storage.warehouse import Warehouse

FILE_DIGITS = 16
"""Digits of the file id that every ``record_id`` begins with."""


def rows_of_files(
    warehouse: Warehouse, table: str, columns: Sequence[str], file_ids: Collection[str]
) -> pa.Table:
    """Return some columns of the rows that came from some source files.

    The scan streams the table, so memory follows the result.

    Args:
        warehouse: The warehouse.
        table: Name of the table.
        columns: Columns to return; ``record_id`` or ``file_id`` must be among them.
        file_ids: Keyed digests of the files' contents.
    """
    by_record = "record_id" in columns
    origins = pa.array(sorted({i[:FILE_DIGITS] if by_record else i for i in file_ids}), pa.string())
    reader = warehouse.iceberg(table).scan(selected_fields=tuple(columns)).to_arrow_batch_reader()
    batches = []
    for batch in reader:
        origin = batch["record_id" if by_record else "file_id"].cast(pa.string())
        if by_record:
            origin = pc.utf8_slice_codeunits(origin, 0, FILE_DIGITS)
        batches.append(batch.filter(pc.is_in(origin, origins)))
    rows = pa.Table.from_batches(batches, reader.schema)
    return rows.select(list(columns))


def ledger_rows(warehouse: Warehouse) -> list[dict[str, int]]:
    """Return the rows that each ingest added to each table; an erasure has negative numbers."""
    table = warehouse.iceberg("ingests").scan(selected_fields=("n_rows",)).to_arrow()
    return [json.loads(text) for text in table["n_rows"].to_pylist() if text]


def rows_of_patients(
    warehouse: Warehouse,
    table: str,
    patient_columns: Sequence[str],
    patients: Collection[str],
    columns: Sequence[str],
) -> pa.Table:
    """Return some columns of the rows that name one of some patients in any patient column.

    Args:
        warehouse: The warehouse.
        table: Name of the table.
        patient_columns: Columns of the table that hold pseudonyms of patients.
        patients: Pseudonyms.
        columns: Further columns to return.
    """
    pseudonyms = pa.array(sorted(patients), pa.string())
    fields = tuple({*patient_columns, *columns})
    reader = warehouse.iceberg(table).scan(selected_fields=fields).to_arrow_batch_reader()
    batches = []
    for batch in reader:
        matches = pc.is_in(batch[patient_columns[0]].cast(pa.string()), pseudonyms)
        for name in patient_columns[1:]:
            matches = pc.or_(matches, pc.is_in(batch[name].cast(pa.string()), pseudonyms))
        batches.append(batch.filter(matches))
    return pa.Table.from_batches(batches, reader.schema)

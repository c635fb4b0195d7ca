"""Which rows of some source files are stored; what a replay must not store twice."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.storage.warehouse import Warehouse

FILE_DIGITS = 16
"""Digits of the file's id at the beginning of every ``record_id``."""


def stored_rows(
    warehouse: Warehouse, table: str, columns: Sequence[str], file_ids: Collection[str]
) -> pa.Table:
    """Return some columns of the rows that came from some files.

    The table is streamed, so memory follows the rows found.

    Args:
        warehouse: The warehouse.
        table: Name of the table.
        columns: Columns wanted; ``record_id`` or ``file_id`` among them.
        file_ids: Keyed digests of the files' contents.
    """
    by_record = "record_id" in columns
    wanted = pa.array(sorted({i[:FILE_DIGITS] if by_record else i for i in file_ids}), pa.string())
    reader = warehouse.iceberg(table).scan(selected_fields=tuple(columns)).to_arrow_batch_reader()
    found = []
    for batch in reader:
        origin = batch["record_id" if by_record else "file_id"].cast(pa.string())
        if by_record:
            origin = pc.utf8_slice_codeunits(origin, 0, FILE_DIGITS)
        found.append(batch.filter(pc.is_in(origin, wanted)))
    rows = pa.Table.from_batches(found, reader.schema)
    return rows.select(list(columns))


def ledger_rows(warehouse: Warehouse) -> list[dict[str, int]]:
    """Return, per ingest and erasure, the rows it added to each table (erased: negative)."""
    table = warehouse.iceberg("ingests").scan(selected_fields=("n_rows",)).to_arrow()
    return [json.loads(text) for text in table["n_rows"].to_pylist() if text]


def rows_of_patients(
    warehouse: Warehouse,
    table: str,
    patient_columns: Sequence[str],
    patients: Collection[str],
    columns: Sequence[str],
) -> pa.Table:
    """Return some columns of the rows that name a patient in any of its patient columns.

    Args:
        warehouse: The warehouse.
        table: Name of the table.
        patient_columns: Its columns that hold pseudonyms of patients.
        patients: Pseudonyms.
        columns: Columns wanted besides.
    """
    wanted = pa.array(sorted(patients), pa.string())
    fields = tuple({*patient_columns, *columns})
    reader = warehouse.iceberg(table).scan(selected_fields=fields).to_arrow_batch_reader()
    found = []
    for batch in reader:
        hit = pc.is_in(batch[patient_columns[0]].cast(pa.string()), wanted)
        for name in patient_columns[1:]:
            hit = pc.or_(hit, pc.is_in(batch[name].cast(pa.string()), wanted))
        found.append(batch.filter(hit))
    return pa.Table.from_batches(found, reader.schema)

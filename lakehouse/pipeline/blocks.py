"""Packs clean rows of many tables into blocks of one schema: a row per table, as Arrow IPC.

An engine that moves tables between processes knows one schema only. A packed block holds the
tables of a ``CleanBatch`` and the reports on files that ended. It also names key, policy and time
zone, so that a sink can refuse a block that does not fit its warehouse.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from lakehouse.batch import CleanBatch, make_clean_batch
from lakehouse.errors import UserError
from lakehouse.pipeline.engine import ProcessedBatch
from lakehouse.pipeline.reports import FileReport, reports_from_table, reports_to_table

SCHEMA = pa.schema([("table", pa.string()), ("rows", pa.large_binary()), ("made", pa.string())])

REPORTS = "(reports)"
"""Stands for a table's name where the rows are reports on files."""


@dataclass(frozen=True)
class BlockProvenance:
    """Key, policy and time zone with which the rows of a block were made.

    Attributes:
        key_id: Id of the secret.
        policy_sha256: SHA-256 of the policy file.
        time_zone: Zone in which times without an offset were read.
    """

    key_id: str
    policy_sha256: str
    time_zone: str


def pack_block(piece: ProcessedBatch, provenance: BlockProvenance) -> pa.Table:
    """Return one piece of ``ingest.process`` as a packed block."""
    parts = {name: table for name, table in piece.batch.tables.items() if len(table)}
    if piece.reports:
        parts[REPORTS] = reports_to_table(piece.reports)
    stamp = json.dumps(asdict(provenance))
    columns = [pa.array(list(parts), pa.string()), _to_ipc(parts.values())]
    return pa.Table.from_arrays(
        [*columns, pa.array([stamp] * len(parts), pa.string())], SCHEMA.names
    )


def unpack_block(block: pa.Table) -> Iterator[tuple[CleanBatch, list[FileReport], BlockProvenance]]:
    """Yield rows or reports of each row of a packed block, with their provenance.

    Raises:
        UserError: The block was not packed.
    """
    if not isinstance(block, pa.Table) or block.schema.names != SCHEMA.names:
        raise UserError(
            "A LakehouseDatasink takes packed blocks only.",
            "Read with HL7Datasource(..., table=None) or its kin, and map nothing in between.",
        )
    for name, rows, stamp in zip(*(block[n] for n in SCHEMA.names), strict=True):
        table = pa.ipc.open_stream(rows.as_buffer()).read_all()
        provenance = BlockProvenance(**json.loads(stamp.as_py()))
        if name.as_py() == REPORTS:
            yield make_clean_batch({}), reports_from_table(table), provenance
        else:
            yield make_clean_batch({name.as_py(): table}), [], provenance


def _to_ipc(tables: Iterable[pa.Table]) -> pa.Array:
    """Return each table as a stream of Arrow IPC, all in one buffer that nothing copies.

    A ``memoryview`` would leak: pyarrow never frees the memory of its conversion.
    """
    sink = pa.BufferOutputStream()
    ends = [0]
    for table in tables:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        ends.append(sink.tell())
    buffers = [None, pa.py_buffer(np.array(ends, dtype=np.int64)), sink.getvalue()]
    return pa.Array.from_buffers(pa.large_binary(), len(ends) - 1, buffers)

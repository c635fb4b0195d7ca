"""Reads the ledger: the ``ingests`` and ``ingest_files`` tables, which say what is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, In

from lakehouse.storage.warehouse import Warehouse

FILES, INGESTS = "ingest_files", "ingests"
"""Tables of the ledger. A commit reaches ``ingests`` last: a row there says that the ingest is
complete."""

MAX_IDS_TO_PRUNE = 200
"""Number of ids up to which pyiceberg prunes by bounds (its ``IN_PREDICATE_LIMIT``)."""

ALL = AlwaysTrue()

HANDLED = ("done", "unreadable")
"""Statuses of a file that an ingest passes over. The records before the fault of an unreadable
file are stored, so only a replay may read it again: it compares with the stored rows."""

NOT_RECOGNISED = "not-recognised"
"""Status of a file without a record: no format recognised it, or not the one it was read as."""


def known_files(
    warehouse: Warehouse, file_ids: Iterable[str], statuses: Collection[str] = HANDLED
) -> set[str]:
    """Return which of some files are in the ledger, by their contents.

    Args:
        warehouse: The warehouse.
        file_ids: Keyed digests of the files' contents.
        statuses: Statuses that count.
    """
    ids = set(file_ids)
    if not ids:
        return set()
    rows = _file_rows(warehouse, ids, "file_id", "status")
    with_status = rows.filter(pc.is_in(rows["status"], pa.array(sorted(statuses), pa.string())))
    return ids.intersection(with_status["file_id"].to_pylist())


def known_unrecognised(
    warehouse: Warehouse, file_ids: Iterable[str], form: str | None = None
) -> set[str]:
    """Return the files that an earlier ingest did not recognise and no later one has read.

    Args:
        warehouse: The warehouse.
        file_ids: Keyed digests of contents that no format recognises.
        form: Name of the format that the earlier ingest read them as; None for any.
    """
    ids = set(file_ids)
    if not ids:
        return set()
    rows = _file_rows(warehouse, ids, "file_id", "status", "format")
    handled = rows.filter(pc.is_in(rows["status"], pa.array(HANDLED, pa.string())))
    unrecognised = rows.filter(pc.equal(rows["status"], NOT_RECOGNISED))
    if form is not None:
        unrecognised = unrecognised.filter(
            pc.fill_null(pc.equal(unrecognised["format"], form), False)
        )
    return ids.intersection(unrecognised["file_id"].to_pylist()) - set(
        handled["file_id"].to_pylist()
    )


def completed_ingests(warehouse: Warehouse, ingest_ids: Iterable[str]) -> set[str]:
    """Return which of some ingests are complete, that is, committed to every table."""
    ids = set(ingest_ids)
    if not ids:
        return set()
    return ids.intersection(_scan(warehouse, INGESTS, "ingest_id")["ingest_id"].to_pylist())


def _file_rows(warehouse: Warehouse, file_ids: set[str], *columns: str) -> pa.Table:
    """Return rows of ``ingest_files``, among them those of some files.

    A small ingest prunes by the bounds of the ledger's data files, so that its cost does not grow
    with the ledger.
    """
    row_filter = In("file_id", file_ids) if len(file_ids) <= MAX_IDS_TO_PRUNE else ALL
    return _scan(warehouse, FILES, *columns, where=row_filter)


def _scan(
    warehouse: Warehouse, table: str, *columns: str, where: BooleanExpression = ALL
) -> pa.Table:
    return warehouse.iceberg(table).scan(where, selected_fields=columns).to_arrow()

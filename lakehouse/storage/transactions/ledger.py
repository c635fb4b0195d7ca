"""What is in already: the ``ingests`` and ``ingest_files`` tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, In

from lakehouse.storage.warehouse import Warehouse

FILES, INGESTS = "ingest_files", "ingests"
"""The ledger; ``ingests`` is committed last, so a row there says that all of an ingest is in."""

MAX_IDS_TO_PRUNE = 200
"""Files up to which pyiceberg prunes by bounds (its ``IN_PREDICATE_LIMIT``)."""

ALL = AlwaysTrue()

HANDLED = ("done", "unreadable")
"""Statuses of a file that an ingest need not look at again. What an unreadable file gave before
the fault is stored, so only a replay, which knows the rows that are in, may read it again."""

NOT_RECOGNISED = "not-recognised"
"""Status of a file that gave no record: no format knew it, or not the one it was to be read as."""


def known_files(
    warehouse: Warehouse, file_ids: Iterable[str], statuses: Collection[str] = HANDLED
) -> set[str]:
    """Return which of these files' contents are in the ledger.

    Args:
        warehouse: The warehouse.
        file_ids: Keyed digests of the files' contents.
        statuses: Statuses that count.
    """
    wanted = set(file_ids)
    if not wanted:
        return set()
    rows = _files(warehouse, wanted, "file_id", "status")
    counted = rows.filter(pc.is_in(rows["status"], pa.array(sorted(statuses), pa.string())))
    return wanted.intersection(counted["file_id"].to_pylist())


def known_unrecognised(
    warehouse: Warehouse, file_ids: Iterable[str], form: str | None = None
) -> set[str]:
    """Return which of these files' contents nothing could be made of, and nothing has since.

    Args:
        warehouse: The warehouse.
        file_ids: Keyed digests of contents that no format recognises.
        form: Only those that were read as this format; None takes any attempt.
    """
    wanted = set(file_ids)
    if not wanted:
        return set()
    rows = _files(warehouse, wanted, "file_id", "status", "format")
    taken = rows.filter(pc.is_in(rows["status"], pa.array(HANDLED, pa.string())))
    unrecognised = rows.filter(pc.equal(rows["status"], NOT_RECOGNISED))
    if form is not None:
        unrecognised = unrecognised.filter(
            pc.fill_null(pc.equal(unrecognised["format"], form), False)
        )
    return wanted.intersection(unrecognised["file_id"].to_pylist()) - set(
        taken["file_id"].to_pylist()
    )


def completed(warehouse: Warehouse, ingest_ids: Iterable[str]) -> set[str]:
    """Return which of these ingests are complete: every table of theirs is committed."""
    wanted = set(ingest_ids)
    if not wanted:
        return set()
    return wanted.intersection(_read(warehouse, INGESTS, "ingest_id")["ingest_id"].to_pylist())


def _files(warehouse: Warehouse, wanted: set[str], *columns: str) -> pa.Table:
    """Return rows of the ledger, those of the wanted files among them.

    The few files of a small ingest are looked for by the bounds of the ledger's files, so that
    its cost does not grow with what came before.
    """
    few = In("file_id", wanted) if len(wanted) <= MAX_IDS_TO_PRUNE else ALL
    return _read(warehouse, FILES, *columns, where=few)


def _read(
    warehouse: Warehouse, table: str, *columns: str, where: BooleanExpression = ALL
) -> pa.Table:
    return warehouse.iceberg(table).scan(where, selected_fields=columns).to_arrow()

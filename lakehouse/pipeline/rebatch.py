"""Joins small validated batches before de-identification, which is faster on long columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from lakehouse.batch import RawBatch
from lakehouse.pipeline.reports import FileReport, Tally

MAX_BYTES = 6 << 20
MAX_PIECES = 512
"""Bytes and number of small batches that become one before de-identification."""


@dataclass
class ParsedBatch:
    """A validated raw batch, whose rejects name ingest and file, and the reports of ended files.

    Like its batch it never leaves the call that parsed it.
    """

    batch: RawBatch
    reports: list[FileReport] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


def rebatch(pieces: Iterable[ParsedBatch]) -> Iterator[ParsedBatch]:
    """Yield longer batches made of successive small ones."""
    waiting: list[ParsedBatch] = []
    size = 0
    for piece in pieces:
        more = sum(t.nbytes for t in piece.batch.tables.values())
        if waiting and (size + more > MAX_BYTES or len(waiting) == MAX_PIECES):
            yield _join(waiting)
            waiting, size = [], 0
        waiting.append(piece)
        size += more
    if waiting:
        yield _join(waiting)


def _join(pieces: list[ParsedBatch]) -> ParsedBatch:
    parts: dict[str, list[pa.Table]] = {}
    for piece in pieces:
        for name, table in piece.batch.tables.items():
            parts.setdefault(name, []).append(table)
    tables = {
        name: pa.concat_tables(several, promote_options="permissive") if several[1:] else several[0]
        for name, several in parts.items()
    }
    return ParsedBatch(
        RawBatch(tables, n_records=sum(p.batch.n_records for p in pieces)),
        [report for piece in pieces for report in piece.reports],
        sum((piece.tally for piece in pieces), Tally()),
    )

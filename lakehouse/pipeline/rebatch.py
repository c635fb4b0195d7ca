"""What comes between reading and de-identifying: validated batches, joined to some length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from lakehouse.batch import RawBatch
from lakehouse.pipeline.reports import FileReport, Tally

JOINED_BYTES = 6 << 20
JOINED_PIECES = 512
"""Small batches are joined up to this size before they are de-identified."""


@dataclass
class ParsedBatch:
    """A validated raw batch whose rejects are stamped, and the reports of files that ended.

    Like the batch in it, it stays inside the call that parsed it.
    """

    batch: RawBatch
    reports: list[FileReport] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


def rebatch(pieces: Iterable[ParsedBatch]) -> Iterator[ParsedBatch]:
    """Join small batches, so that what comes after works on columns of some length."""
    held: list[ParsedBatch] = []
    size = 0
    for piece in pieces:
        more = sum(t.nbytes for t in piece.batch.tables.values())
        if held and (size + more > JOINED_BYTES or len(held) == JOINED_PIECES):
            yield _join(held)
            held, size = [], 0
        held.append(piece)
        size += more
    if held:
        yield _join(held)


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

"""Two formats as an outsider would write them; each says aloud what real files do in secret.

``lines``: a first line ``LINES``, then one record a line, ``patient;ISO date;value``. A line
``bad`` is a rejected record, ``warn;...`` a warned one, and ``crash`` makes the parser fail with
the line before it in the text of its exception.

``cards``: one record a file, ``CARD patient;ISO date;value`` and whatever follows, which is not
read. Many are parsed in one batch.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa

from lakehouse.batch import RawBatch, Reject, Source
from lakehouse.identifiers import qualified

LINES_PER_BATCH = 4
CARDS_PER_BATCH = 5
CARD_BYTES = 64

on_record: list[Callable[[], None]] = []
"""Called before each record: where a test changes the world under the parser's feet."""

if pause := os.environ.get("LINES_SECONDS_PER_RECORD"):
    on_record.append(lambda: time.sleep(float(pause)))


def tables(rows: list[tuple[str, int, str]], source_format: str) -> dict[str, pa.Table]:
    """Return records and observations of ``(file id, ordinal, line)``."""
    fields = [line.split(";") for _, _, line in rows]
    ids = [f"{file_id[:16]}-{ordinal:08d}" for file_id, ordinal, _ in rows]
    patient = qualified("TEST", pa.array([f[0] for f in fields], pa.string()))
    when = pa.array(
        [dt.datetime.fromisoformat(f[1]).replace(tzinfo=dt.UTC) for f in fields],
        pa.timestamp("us", "UTC"),
    )
    n = len(rows)
    return {
        "records": pa.table(
            {
                "record_id": pa.array(ids, pa.string()),
                "file_id": pa.array([r[0] for r in rows], pa.string()),
                "ordinal": pa.array([r[1] for r in rows], pa.int64()),
                "format": pa.array([source_format] * n, pa.string()),
                "recorded_at": when,
                "patient_id": patient,
            }
        ),
        "observations": pa.table(
            {
                "record_id": pa.array(ids, pa.string()),
                "ordinal": pa.array([0] * n, pa.int32()),
                "patient_id": patient,
                "observed_at": when,
                "value_number": pa.array([float(f[2]) for f in fields], pa.float64()),
            }
        ),
    }


class Lines:
    name = "lines"
    extensions = (".lines",)
    doc = "Lines of text, for tests."
    main_table = "observations"

    def sniff(self, head: bytes) -> bool:
        return head.startswith(b"LINES\n")

    def parse(self, stream: BinaryIO, source: Source) -> Iterator[RawBatch]:
        stream.readline()
        rows: list[tuple[str, int, str]] = []
        rejects: list[Reject] = []
        count = last = 0
        for ordinal, raw in enumerate(stream):
            for hook in on_record:
                hook()
            line = raw.decode().rstrip("\n")
            if line == "crash":
                raise ValueError(f"cannot read on after {rows or rejects}")
            if line == "bad":
                rejects.append(Reject(ordinal, "lines.bad", "The line is bad."))
            else:
                if line.startswith("warn;"):
                    line = line.removeprefix("warn;")
                    rejects.append(Reject(ordinal, "lines.odd", "Odd.", level="warning"))
                rows.append((source.file_id, ordinal, line))
            count = ordinal + 1
            if count - last == LINES_PER_BATCH:
                yield RawBatch(tables(rows, self.name), rejects, count - last)
                rows, rejects, last = [], [], count
        yield RawBatch(tables(rows, self.name), rejects, count - last)


class Cards:
    name = "cards"
    extensions = (".card",)
    doc = "One record a file, for tests."
    main_table = "observations"

    def sniff(self, head: bytes) -> bool:
        return head.startswith(b"CARD ")

    def fingerprint(self, stream: BinaryIO, size: int | None) -> bytes | None:
        return stream.read(CARD_BYTES)

    def parse(self, stream: BinaryIO, source: Source) -> Iterator[RawBatch]:
        return self.parse_many([(stream, source)])

    def parse_many(self, files: Iterable[tuple[BinaryIO, Source]]) -> Iterator[RawBatch]:
        batch = RawBatch({})
        rows: list[tuple[str, int, str]] = []
        for stream, source in files:
            for hook in on_record:
                hook()
            line = stream.read(CARD_BYTES).decode().removeprefix("CARD ").split("\n")[0]
            batch.n_records += 1
            batch.by_file[source.file_id] += 1
            if line == "crash":
                raise ValueError(f"cannot read on after {rows}")
            if line == "bad":
                fault = Reject(0, "cards.bad", "The card is bad.", file_id=source.file_id)
                batch.rejects.append(fault)
            else:
                rows.append((source.file_id, 0, line))
            if batch.n_records == CARDS_PER_BATCH:
                batch.tables = tables(rows, self.name)
                yield batch
                batch, rows = RawBatch({}), []
        if batch.n_records:
            batch.tables = tables(rows, self.name)
            yield batch


LINES = Lines()
CARDS = Cards()

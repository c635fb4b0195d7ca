"""Rejected records read again from their source files, after what was wrong has been mended.

The source is found by the digest of its content. All of it is processed as at first, and of what
comes out only those rows are stored that are not in yet: nothing is doubled. Rejects stay as the
history of what happened; one that is not met again is noted as settled, in the same table.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import CleanBatch, conform, make_clean_batch
from lakehouse.definitions.tables import load_tables
from lakehouse.pipeline.engine import LOCAL, EngineResult, ProcessConfig
from lakehouse.pipeline.ingest import process
from lakehouse.pipeline.progress import bar
from lakehouse.pipeline.reading import ReadOptions
from lakehouse.pipeline.reports import (
    DONE,
    NOT_RECOGNISED,
    UNREADABLE,
    FileReport,
    IngestReport,
    summed,
)
from lakehouse.pipeline.steps import (
    check_options,
    claim_new,
    commit_result,
    new_ingest_id,
    warehouse_secret,
)
from lakehouse.pipeline.tombstones import read_tombstones
from lakehouse.pipeline.writing import Writer
from lakehouse.sources.discover import Paths, discover
from lakehouse.sources.input_file import BROKEN
from lakehouse.sources.packed_list import PackedList
from lakehouse.storage.maintenance.recovery import recover
from lakehouse.storage.transactions.ledger import known_files
from lakehouse.storage.transactions.stored_rows import rows_of_files
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

SETTLED = "settled"
"""Level of the note that a reject was not met again."""

_PLACE = ["file_id", "record_ordinal", "rule", "location"]
"""What names a reject, besides its level."""


def replay(
    paths: Paths,
    warehouse: Warehouse | str | os.PathLike[str],
    *,
    format: str | None = None,
    time_zone: str = "UTC",
    authority: str | None = None,
    mappings: Sequence[str] = (),
    codes: Sequence[str] = (),
    key_file: str | Path | None = None,
    show_progress: bool | None = None,
) -> IngestReport:
    """Store those records of known files that were rejected and now pass.

    Args:
        paths: Files, folders, globs or URIs where the sources are; those that the warehouse does
            not know, or that left no reject, are passed over.
        warehouse: The warehouse, or where it is.
        format: Read every file as this format; by default the content decides.
        time_zone: As at the ingest.
        authority: As at the ingest.
        mappings: Folders with a site's own mapping files.
        codes: Folders with a site's own code sets.
        key_file: The secret; by default that of ``LAKEHOUSE_KEY_FILE``, or the one ``init`` made.
        show_progress: None shows a bar when standard error is a terminal.

    Returns:
        What was stored now; ``ingest_id`` is None when no rejected record passes.

    Raises:
        UserError: A path, the key, the warehouse or an argument is at fault; nothing was written.
        CommitError: The storage failed; the same call again completes the work.
    """
    begun, started_at = time.monotonic(), datetime.now(UTC)
    check_options(format=format, time_zone=time_zone)
    with ExitStack() as stack:
        if not isinstance(warehouse, Warehouse):
            warehouse = stack.enter_context(Warehouse.open(warehouse))
        secret, key_path = warehouse_secret(warehouse, key_file)
        recovered = tuple(recover(warehouse))
        progress = stack.enter_context(bar(show_progress))
        found = discover(paths, secret, exclude=(warehouse.path,), advance=progress.file_hashed)
        transaction = stack.enter_context(IngestTransaction(warehouse, new_ingest_id(started_at)))
        readable = PackedList(f for f in found.files if format or f.format or f.packing == BROKEN)
        wanted = unsettled(warehouse, [f.file_id for f in readable])
        files = claim_new(
            readable, lambda ids: transaction.claim(wanted.intersection(ids), again=True)
        )
        options = ReadOptions(
            transaction.ingest_id,
            time_zone,
            warehouse.settings.authority if authority is None else authority,
            tuple(mappings),
            format,
        )
        job = ProcessConfig(
            options,
            key_path,
            warehouse.settings.profile,
            tuple(codes),
            read_tombstones(warehouse),
        )
        progress.begin(len(files), sum(f.content_size for f in files))
        absent = _Absent(warehouse, [f.file_id for f in files])
        reports: PackedList[FileReport] = PackedList()
        with Writer(warehouse.write_spec(), transaction.attempt) as writer:
            for piece in process(files, job):
                writer.add(absent.of(piece.batch))
                reports.extend(piece.reports)
                progress.advance(piece.tally)
            writer.add(absent.settled(reports, transaction.ingest_id))
            result = EngineResult(writer.finish(), absent.counted(reports))
        facts: dict[str, Any] = {"n_known": len(found.files) - len(files), "recovered": recovered}
        if not result.files:
            return IngestReport(None, seconds=time.monotonic() - begun, **facts)
        facts["rows"] = commit_result(
            result, transaction, warehouse, started_at, LOCAL, options.time_zone
        )
        facts["seconds"] = time.monotonic() - begun
        return IngestReport(transaction.ingest_id, LOCAL, **facts, **summed(result.reports))


def unsettled(warehouse: Warehouse, file_ids: Collection[str]) -> set[str]:
    """Return which of these files are in the ledger and left something that was not stored."""
    known = known_files(warehouse, file_ids, [DONE, UNREADABLE, NOT_RECOGNISED])
    noted = rows_of_files(warehouse, "rejects", [*_PLACE, "level"], known)
    lost = _unanswered(noted, noted.filter(pc.equal(noted["level"], SETTLED)))
    return set(lost["file_id"].to_pylist()) | (known - known_files(warehouse, known, [DONE]))


def _unanswered(rejects: pa.Table, others: pa.Table) -> pa.Table:
    """Return those rejects of records and rows that are not among the others."""
    lost = rejects.filter(pc.is_in(rejects["level"], pa.array(["record", "row"])))
    return _comparable(lost.select(_PLACE)).join(
        _comparable(others.select(_PLACE)), _PLACE, join_type="left anti"
    )


class _Absent:
    """Keeps of clean batches the rows that are not stored yet, by the grain of their table."""

    def __init__(self, warehouse: Warehouse, file_ids: Collection[str]) -> None:
        self._warehouse = warehouse
        self._file_ids = file_ids
        self._stored: dict[str, pa.Table] = {}
        self._n_records: Counter[str] = Counter()
        self._rejected: dict[str, set[int]] = {}
        self._n_warnings: Counter[str] = Counter()
        self._met: list[pa.Table] = []
        self._reached: dict[str, int] = {}

    def of(self, batch: CleanBatch) -> CleanBatch:
        """Return the rows of the batch that are absent, and count them by file."""
        self._keep_track(batch)
        fresh = make_clean_batch(
            {name: self._absent(name, table) for name, table in batch.tables.items()}
        )
        if "records" in fresh.tables:
            self._n_records.update(fresh.tables["records"]["file_id"].to_pylist())
        if "rejects" in fresh.tables:
            rejects = fresh.tables["rejects"]
            for file_id, ordinal in _rejected(rejects):
                self._rejected.setdefault(file_id, set()).add(ordinal)
            noted = rejects.filter(pc.not_equal(rejects["level"], "record"))
            self._n_warnings.update(noted["file_id"].to_pylist())
        return fresh

    def settled(self, reports: Iterable[FileReport], ingest_id: str) -> CleanBatch:
        """Return notes on the stored rejects that were not met again.

        Of a file that was not read to its end, only what lies before the last record read counts.
        """
        through = {r.file_id for r in reports if r.status == DONE and r.file_id in self._reached}
        stored = rows_of_files(self._warehouse, "rejects", [*_PLACE, "level"], self._file_ids)
        noted = stored.filter(pc.equal(stored["level"], SETTLED)).select(_PLACE)
        met = pa.concat_tables([_comparable(t) for t in (noted, *self._met)])
        gone = _unanswered(stored, met).to_pylist()
        rows = [
            {**place, "ingest_id": ingest_id, "level": SETTLED}
            for place in gone
            if place["file_id"] in through
            or 0 <= place["record_ordinal"] < self._reached.get(place["file_id"], 0)
        ]
        return make_clean_batch(
            {"rejects": pa.Table.from_pylist(rows, load_tables()["rejects"].schema)}
        )

    def _keep_track(self, batch: CleanBatch) -> None:
        """Remember the rejects met, and up to which record each file was read."""
        for name, column in (("records", "ordinal"), ("rejects", "record_ordinal")):
            if name not in batch.tables:
                continue
            last = batch.tables[name].group_by("file_id").aggregate([(column, "max")])
            for file_id, ordinal in zip(*last.to_pydict().values(), strict=True):
                if ordinal >= 0:
                    self._reached[file_id] = max(self._reached.get(file_id, 0), ordinal)
        if "rejects" in batch.tables:
            rejects = conform(batch.tables["rejects"], load_tables()["rejects"].schema)
            self._met.append(rejects.select(_PLACE))

    def counted(self, reports: Iterable[FileReport]) -> list[FileReport]:
        """Return the reports with what this replay adds to the figures of each file.

        Records stored now, and what was noted now and not before: so the sum over the ledger of
        records less rejects stays what stands in ``records``, and no figure is counted twice.
        """
        before = set(_rejected(self._keys("rejects"))) if self._rejected else set()
        counted = []
        for report in reports:
            mine = {(report.file_id, o) for o in self._rejected.get(report.file_id, ())}
            n_rejects = len(mine - before)
            n_records = self._n_records[report.file_id] + n_rejects
            if report.status != NOT_RECOGNISED:
                counted.append(
                    replace(
                        report,
                        bytes=0,
                        n_records=n_records,
                        n_rejects=n_rejects,
                        n_warnings=self._n_warnings[report.file_id],
                        dropped=Counter(),
                    )
                )
        return counted

    def _absent(self, name: str, table: pa.Table) -> pa.Table:
        table = conform(table, load_tables()[name].schema)
        keys = _comparable(table.select(load_tables()[name].grain))
        keys = keys.append_column("(row)", pa.array(range(len(keys)), pa.int64()))
        absent = keys.join(self._keys(name), load_tables()[name].grain, join_type="left anti")
        return table.take(absent["(row)"].combine_chunks().sort())

    def _keys(self, name: str) -> pa.Table:
        if name not in self._stored:
            grain = load_tables()[name].grain
            rows = rows_of_files(self._warehouse, name, grain, self._file_ids)
            self._stored[name] = _comparable(rows)
        return self._stored[name]


def _comparable(keys: pa.Table) -> pa.Table:
    """Return keys that a join compares: text in one type, and no nulls, which equal nothing."""
    columns = {}
    for field in keys.schema:
        column = keys[field.name]
        text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        kind, nothing = (pa.string(), "") if text else (pa.int64(), -1)
        columns[field.name] = column.cast(kind).fill_null(nothing)
    return pa.table(columns)


def _rejected(rejects: pa.Table) -> Iterator[tuple[str, int]]:
    """Yield file and position of each rejected record."""
    place = (rejects[n].to_pylist() for n in ("file_id", "record_ordinal", "level"))
    for file_id, ordinal, level in zip(*place, strict=True):
        if level == "record" and ordinal >= 0:
            yield file_id, ordinal

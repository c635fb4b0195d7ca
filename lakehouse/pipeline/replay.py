"""Replays rejected records from their source files once the cause of the reject is fixed.

The digest of its content finds a source file. A replay processes all of it as the ingest did and
stores only the rows that are not stored yet, so nothing is stored twice. Rejects stay as history;
a note in the same table says that a reject is settled when the replay did not meet it again.
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
from lakehouse.pipeline.progress import progress_bar
from lakehouse.pipeline.reading import ReadOptions
from lakehouse.pipeline.reports import (
    DONE,
    NOT_RECOGNISED,
    UNREADABLE,
    FileReport,
    IngestReport,
    sum_reports,
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
"""Level of the note that a replay did not meet a reject again."""

_REJECT_KEY = ["file_id", "record_ordinal", "rule", "location"]
"""Columns that name a reject, besides its level."""


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
    """Store the records of known files that an ingest rejected and that now pass.

    Args:
        paths: Files, folders, globs or URIs of the sources. A replay passes over files that the
            warehouse does not know or that left no reject.
        warehouse: The warehouse, or its folder or URI.
        format: Read every file as this format; by default the content decides.
        time_zone: As at the ingest.
        authority: As at the ingest.
        mappings: Folders with a site's own mapping files.
        codes: Folders with a site's own code sets.
        key_file: The secret; by default that of ``LAKEHOUSE_KEY_FILE``, or the one ``init`` made.
        show_progress: None shows a bar when standard error is a terminal.

    Returns:
        A report on what it stored; its ``ingest_id`` is None when no rejected record passes.

    Raises:
        UserError: A path, the key, the warehouse or an argument is wrong; nothing was written.
        CommitError: The storage failed; the same call again completes the work.
    """
    start, started_at = time.monotonic(), datetime.now(UTC)
    check_options(format=format, time_zone=time_zone)
    with ExitStack() as stack:
        if not isinstance(warehouse, Warehouse):
            warehouse = stack.enter_context(Warehouse.open(warehouse))
        secret, key_path = warehouse_secret(warehouse, key_file)
        recovered = tuple(recover(warehouse))
        progress = stack.enter_context(progress_bar(show_progress))
        discovery = discover(paths, secret, exclude=(warehouse.path,), advance=progress.file_hashed)
        transaction = stack.enter_context(IngestTransaction(warehouse, new_ingest_id(started_at)))
        readable = PackedList(
            f for f in discovery.files if format or f.format or f.packing == BROKEN
        )
        file_ids = files_to_replay(warehouse, [f.file_id for f in readable])
        files = claim_new(
            readable, lambda ids: transaction.claim(file_ids.intersection(ids), again=True)
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
        new_rows = _NewRows(warehouse, [f.file_id for f in files])
        reports: PackedList[FileReport] = PackedList()
        with Writer(warehouse.write_spec(), transaction.attempt) as writer:
            for piece in process(files, job):
                writer.add(new_rows.keep_new(piece.batch))
                reports.extend(piece.reports)
                progress.advance(piece.tally)
            writer.add(new_rows.settlement_notes(reports, transaction.ingest_id))
            result = EngineResult(writer.finish(), new_rows.adjusted_reports(reports))
        facts: dict[str, Any] = {
            "n_known": len(discovery.files) - len(files),
            "recovered": recovered,
        }
        if not result.files:
            return IngestReport(None, seconds=time.monotonic() - start, **facts)
        facts["rows"] = commit_result(
            result, transaction, warehouse, started_at, LOCAL, options.time_zone
        )
        facts["seconds"] = time.monotonic() - start
        return IngestReport(transaction.ingest_id, LOCAL, **facts, **sum_reports(result.reports))


def files_to_replay(warehouse: Warehouse, file_ids: Collection[str]) -> set[str]:
    """Return which of some files are in the ledger and have records or rows not stored."""
    known = known_files(warehouse, file_ids, [DONE, UNREADABLE, NOT_RECOGNISED])
    rejects = rows_of_files(warehouse, "rejects", [*_REJECT_KEY, "level"], known)
    unmatched = _unmatched(rejects, rejects.filter(pc.equal(rejects["level"], SETTLED)))
    return set(unmatched["file_id"].to_pylist()) | (known - known_files(warehouse, known, [DONE]))


def _unmatched(rejects: pa.Table, others: pa.Table) -> pa.Table:
    """Return the rejects of records and rows that are not among the others."""
    rejected = rejects.filter(pc.is_in(rejects["level"], pa.array(["record", "row"])))
    return _comparable(rejected.select(_REJECT_KEY)).join(
        _comparable(others.select(_REJECT_KEY)), _REJECT_KEY, join_type="left anti"
    )


class _NewRows:
    """Filters clean batches to the rows that are not stored yet, by the grain of their table."""

    def __init__(self, warehouse: Warehouse, file_ids: Collection[str]) -> None:
        self._warehouse = warehouse
        self._file_ids = file_ids
        self._stored_keys: dict[str, pa.Table] = {}
        self._n_records: Counter[str] = Counter()
        self._rejected_ordinals: dict[str, set[int]] = {}
        self._n_warnings: Counter[str] = Counter()
        self._rejects_met: list[pa.Table] = []
        self._last_ordinals: dict[str, int] = {}

    def keep_new(self, batch: CleanBatch) -> CleanBatch:
        """Return the rows of a batch that are not stored yet, and count them by file."""
        self._keep_track(batch)
        new_rows = make_clean_batch(
            {name: self._rows_not_stored(name, table) for name, table in batch.tables.items()}
        )
        if "records" in new_rows.tables:
            self._n_records.update(new_rows.tables["records"]["file_id"].to_pylist())
        if "rejects" in new_rows.tables:
            rejects = new_rows.tables["rejects"]
            for file_id, ordinal in _rejected_records(rejects):
                self._rejected_ordinals.setdefault(file_id, set()).add(ordinal)
            notes = rejects.filter(pc.not_equal(rejects["level"], "record"))
            self._n_warnings.update(notes["file_id"].to_pylist())
        return new_rows

    def settlement_notes(self, reports: Iterable[FileReport], ingest_id: str) -> CleanBatch:
        """Return notes on the stored rejects that the replay did not meet again.

        In a file that the replay did not read to its end, only rejects before the last record
        read count.
        """
        through = {
            r.file_id for r in reports if r.status == DONE and r.file_id in self._last_ordinals
        }
        stored_rejects = rows_of_files(
            self._warehouse, "rejects", [*_REJECT_KEY, "level"], self._file_ids
        )
        notes = stored_rejects.filter(pc.equal(stored_rejects["level"], SETTLED)).select(
            _REJECT_KEY
        )
        matched = pa.concat_tables([_comparable(t) for t in (notes, *self._rejects_met)])
        unmatched = _unmatched(stored_rejects, matched).to_pylist()
        rows = [
            {**place, "ingest_id": ingest_id, "level": SETTLED}
            for place in unmatched
            if place["file_id"] in through
            or 0 <= place["record_ordinal"] < self._last_ordinals.get(place["file_id"], 0)
        ]
        return make_clean_batch(
            {"rejects": pa.Table.from_pylist(rows, load_tables()["rejects"].schema)}
        )

    def _keep_track(self, batch: CleanBatch) -> None:
        """Remember the rejects of a batch, and the last record read of each file."""
        for name, column in (("records", "ordinal"), ("rejects", "record_ordinal")):
            if name not in batch.tables:
                continue
            last = batch.tables[name].group_by("file_id").aggregate([(column, "max")])
            for file_id, ordinal in zip(*last.to_pydict().values(), strict=True):
                if ordinal >= 0:
                    self._last_ordinals[file_id] = max(self._last_ordinals.get(file_id, 0), ordinal)
        if "rejects" in batch.tables:
            rejects = conform(batch.tables["rejects"], load_tables()["rejects"].schema)
            self._rejects_met.append(rejects.select(_REJECT_KEY))

    def adjusted_reports(self, reports: Iterable[FileReport]) -> list[FileReport]:
        """Return the reports with the figures that this replay adds for each file.

        They count records stored now, and rejects and warnings that are new. So records less
        rejects, summed over the ledger, stays the number of rows in ``records``.
        """
        before = set(_rejected_records(self._keys("rejects"))) if self._rejected_ordinals else set()
        adjusted = []
        for report in reports:
            mine = {(report.file_id, o) for o in self._rejected_ordinals.get(report.file_id, ())}
            n_rejects = len(mine - before)
            n_records = self._n_records[report.file_id] + n_rejects
            if report.status != NOT_RECOGNISED:
                adjusted.append(
                    replace(
                        report,
                        bytes=0,
                        n_records=n_records,
                        n_rejects=n_rejects,
                        n_warnings=self._n_warnings[report.file_id],
                        dropped=Counter(),
                    )
                )
        return adjusted

    def _rows_not_stored(self, name: str, table: pa.Table) -> pa.Table:
        table = conform(table, load_tables()[name].schema)
        keys = _comparable(table.select(load_tables()[name].grain))
        keys = keys.append_column("(row)", pa.array(range(len(keys)), pa.int64()))
        absent = keys.join(self._keys(name), load_tables()[name].grain, join_type="left anti")
        return table.take(absent["(row)"].combine_chunks().sort())

    def _keys(self, name: str) -> pa.Table:
        if name not in self._stored_keys:
            grain = load_tables()[name].grain
            rows = rows_of_files(self._warehouse, name, grain, self._file_ids)
            self._stored_keys[name] = _comparable(rows)
        return self._stored_keys[name]


def _comparable(keys: pa.Table) -> pa.Table:
    """Return keys that a join can compare: one text type, and no nulls, which equal nothing."""
    columns = {}
    for field in keys.schema:
        column = keys[field.name]
        text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        kind, nothing = (pa.string(), "") if text else (pa.int64(), -1)
        columns[field.name] = column.cast(kind).fill_null(nothing)
    return pa.table(columns)


def _rejected_records(rejects: pa.Table) -> Iterator[tuple[str, int]]:
    """Yield file id and ordinal of each rejected record."""
    place = (rejects[n].to_pylist() for n in ("file_id", "record_ordinal", "level"))
    for file_id, ordinal, level in zip(*place, strict=True):
        if level == "record" and ordinal >= 0:
            yield file_id, ordinal

"""Files become raw batches: each file recognised, parsed, and answered for in a report.

One file never takes its neighbours with it: where a parser fails, that file ends as a reject of
ordinal -1. A file that is not what it was when it was listed ends the ingest, for its rows would
stand under the digest of another content.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import RawBatch, Reject, Source, rejects_table
from lakehouse.errors import EngineError, LakehouseError
from lakehouse.formats import Format, ManyFilesFormat, format_named
from lakehouse.pipeline.rebatch import ParsedBatch
from lakehouse.pipeline.reports import NOT_RECOGNISED, UNREADABLE, FileReport, Tally
from lakehouse.privacy.keys.secret import Secret
from lakehouse.quality import validate
from lakehouse.sources.content import (
    CLOCK_TICK_NS,
    BrokenContent,
    Content,
    Opener,
    buffered,
    stored_state,
)
from lakehouse.sources.identify import identify
from lakehouse.sources.input_file import BROKEN, TRUNCATED, InputFile

BUFFER = 1 << 16

RUN = 4_000
"""Files that are read together; what is known of each is held until all of them are read."""

MOST_COUNTS = 4096
"""Kinds of counts that files may share before they are forgotten."""


@dataclass(frozen=True)
class ReadOptions:
    """On which options files are read.

    Attributes:
        ingest_id: Goes into every reject.
        time_zone: IANA name in which times without an offset are read.
        authority: Assigning authority of record numbers that state none.
        mappings: Folders with a site's own mapping files.
        format: Name of the format to read everything as; None lets the content decide.
    """

    ingest_id: str
    time_zone: str = "UTC"
    authority: str = ""
    mappings: tuple[str, ...] = ()
    format: str | None = None

    def source(self, file: InputFile) -> Source:
        """Return what a format is told about a file."""
        return Source(
            file.file_id,
            self.time_zone,
            self.authority,
            file.content_size,
            self.mappings,
            truncated=file.packing == TRUNCATED,
        )


def read(files: Iterable[InputFile], options: ReadOptions, secret: Secret) -> Iterator[ParsedBatch]:
    """Yield the validated raw batches of the files, in their order.

    Raises:
        InputError: A file changed or vanished after it was listed.
        MissingExtraError: A format needs a package that is not installed.
    """
    with Opener() as opener:
        reader = _Reader(opener, options, secret)
        for (name, cut), group in groupby(
            files, lambda f: (reader.format_of(f), f.packing == TRUNCATED)
        ):
            known = format_named(name) if name else None
            if isinstance(known, ManyFilesFormat) and not cut:
                while run := deque(islice(group, RUN)):
                    yield from reader.read_many(known, run)
            else:
                for file in group:
                    yield from reader.read_one(known, file)


class _Reader:
    def __init__(self, opener: Opener, options: ReadOptions, secret: Secret) -> None:
        self._opener = opener
        self._options = options
        self._secret = secret
        self._fault: LakehouseError | None = None
        self._passed = Tally()
        self._begun: Content | None = None
        self._counts: dict[frozenset[tuple[str, int]], Counter[str]] = {}

    def format_of(self, file: InputFile) -> str | None:
        """Return the name of the format to read a file with."""
        return None if file.packing == BROKEN else self._options.format or file.format

    def read_one(self, known: Format | None, file: InputFile) -> Iterator[ParsedBatch]:
        """Yield the batches of one file; its report comes with the last."""
        report = _report(known, file)
        if file.packing == BROKEN:
            last = self._unreadable(report, "archive", "The packed file is damaged or encrypted.")
            last.tally = Tally(1, bytes=file.content_size)
            yield last
            return
        if known is None:
            report.status = NOT_RECOGNISED
            yield ParsedBatch(RawBatch({}), [report], Tally(1, bytes=file.content_size))
            return
        crashed = False
        n_read = 0
        with self._opened(file) as content:
            stream = buffered(content, BUFFER)  # held here: when it goes, it closes the content
            try:
                for batch in known.parse(stream, self._options.source(file)):
                    parsed = self._validated_batch(batch, known, {file.file_id: report})
                    parsed.tally += Tally(bytes=content.n_hashed - n_read)
                    n_read = content.n_hashed
                    yield parsed
            except Exception as error:
                _reraise_ours(error)
                crashed = True
            self._check_unchanged(content)
        if crashed:
            last = self._unreadable(report, known.name, "The rest of the file cannot be parsed.")
        elif file.packing == TRUNCATED:
            last = self._unreadable(report, "archive", "The end of the packed file is missing.")
        else:
            last = ParsedBatch(RawBatch({}), [report])
        _final_report(report, file)
        last.tally = Tally(1, bytes=max(file.content_size - n_read, 0))
        yield last

    def read_many(self, known: ManyFilesFormat, waiting: deque[InputFile]) -> Iterator[ParsedBatch]:
        """Yield batches of many files each; where the parser fails, it goes on file by file."""
        while waiting:
            handed: dict[str, InputFile] = {}
            reports: dict[str, FileReport] = {}
            answered: set[str] = set()
            crashed = False
            told, self._passed, self._begun = Tally(), Tally(), None
            with closing(self._streams(waiting, handed)) as streams:
                try:
                    for batch in known.parse_many(streams):
                        for file_id in handed.keys() - reports.keys():
                            reports[file_id] = _report(known, handed[file_id])
                        parsed = self._validated_batch(batch, known, reports)
                        answered.update(batch.by_file, _file_ids(parsed.batch))
                        self._raise_fault()
                        so_far = self._passed + Tally(
                            bytes=self._begun.n_hashed if self._begun else 0
                        )
                        parsed.tally += so_far - told
                        told = so_far
                        yield parsed
                except Exception as error:
                    _reraise_ours(error)
                    crashed = True
            self._raise_fault()
            if not handed:  # the parser takes no more: the next file is read by itself
                file = waiting.popleft()
                handed[file.file_id] = file
            elif not crashed:
                answered.update(handed)
            ended = [f for i, f in handed.items() if i in answered]
            if crashed:
                yield from self._incomplete_files(known, [(f, reports[f.file_id]) for f in ended])
            yield ParsedBatch(
                RawBatch({}),
                [_final_report(reports.get(f.file_id) or _report(known, f), f) for f in ended],
                Tally(len(ended), bytes=sum(f.content_size for f in ended)) - told,
            )
            for file in (f for i, f in handed.items() if i not in answered):
                yield from self.read_one(known, file)

    def _incomplete_files(
        self, known: Format, answered: Iterable[tuple[InputFile, FileReport]]
    ) -> Iterator[ParsedBatch]:
        """Yield a reject for each file of which the parser held records when another failed it.

        Files are counted anew to tell, for a batch may end inside a file, and batches come in
        any order. What a file lacks a replay stores.
        """
        for file, report in answered:
            n_records = 0
            with self._opened(file) as content:
                stream = buffered(content, BUFFER)
                try:
                    for batch in known.parse(stream, self._options.source(file)):
                        n_records += batch.n_records
                except Exception as error:
                    _reraise_ours(error)
                    n_records = -1
                self._check_unchanged(content)
            if n_records != report.n_records:
                cut = self._unreadable(report, known.name, "A part of the file was not stored.")
                yield ParsedBatch(cut.batch)  # the report comes with those of its neighbours

    def _streams(
        self, waiting: deque[InputFile], handed: dict[str, InputFile]
    ) -> Generator[tuple[BinaryIO, Source], None, None]:
        while waiting:
            file = waiting.popleft()
            handed[file.file_id] = file
            with self._opened(file) as content:
                self._begun = content
                stream = buffered(content, BUFFER)
                yield stream, self._options.source(file)
                self._begun = None
                try:
                    self._check_unchanged(content)
                except LakehouseError as fault:
                    self._fault = fault
                    raise
                self._passed += Tally(1, bytes=file.content_size)

    def _raise_fault(self) -> None:
        """Raise what ended the streams, should the parser have kept it to itself."""
        if self._fault is not None:
            raise self._fault

    def _opened(self, file: InputFile) -> Content:
        hasher = None if file.has_fingerprint else self._secret.hasher("file")
        return self._opener.open(file, hasher)

    def _validated_batch(
        self, batch: RawBatch, known: Format, reports: dict[str, FileReport]
    ) -> ParsedBatch:
        """Return the batch validated, its rejects stamped and counted in the reports."""
        batch = validate(batch, known.name)
        only = next(iter(reports)) if len(reports) == 1 else None
        if only is not None and not batch.by_file:
            batch.by_file[only] = batch.n_records
        for file_id, n_records in batch.by_file.items():
            reports[file_id].n_records += n_records
        if batch.dropped:  # of a batch of many files, the first answers for all
            self._drop(reports[next(iter(batch.by_file or reports))], batch.dropped)
        for file_id, dropped in batch.dropped_by_file.items():
            self._drop(reports[file_id], dropped)
        rejects = _rejects_of_batch(batch, self._options.ingest_id, known.name, only)
        n_rejects = _count(rejects, reports)
        tables = {name: t for name, t in batch.tables.items() if name != "rejects"}
        if len(rejects):
            tables["rejects"] = rejects
        tally = Tally(0, batch.n_records, n_rejects)
        return ParsedBatch(replace(batch, tables=tables, rejects=[]), tally=tally)

    def _drop(self, report: FileReport, dropped: Counter[str]) -> None:
        """Add to what a file holds beyond the mappings.

        The images of a series all hold the same: they share one object, for a report lives until
        the ledger is written, and such counts are most of its weight.
        """
        counts = report.dropped + dropped
        if len(self._counts) == MOST_COUNTS:
            self._counts.clear()
        report.dropped = self._counts.setdefault(frozenset(counts.items()), counts)

    def _unreadable(self, report: FileReport, family: str, message: str) -> ParsedBatch:
        report.status = UNREADABLE
        fault = RawBatch({}, [Reject(-1, f"{family}.unreadable", message)])
        rejects = _rejects_of_batch(fault, self._options.ingest_id, report.format, report.file_id)
        return ParsedBatch(RawBatch({"rejects": rejects}), [report])

    def _check_unchanged(self, content: Content) -> None:
        """Refuse a file that is not what it was when it was listed.

        A content that was read in order and whole is proved by its own digest. Of any other (a
        parser that skips the pixels) the time of last writing decides where it can; where the
        file is too fresh for that, it is identified anew.
        """
        file = content.file
        if content.failure is not None and not isinstance(content.failure, BrokenContent):
            raise content.failure
        try:
            if content.is_complete and not content.closed:
                same = content.digest() == file.file_id
            else:
                same = self._unchanged(file)
        except BrokenContent:
            same = False
        if not same:
            raise file.error(
                "changed while it was being read", "Run the command again once it is written."
            )

    def _unchanged(self, file: InputFile) -> bool:
        size, modified = stored_state(file)
        if size != file.stored_size:
            return False
        if modified == file.modified and file.listed_at - modified > CLOCK_TICK_NS:
            return True
        with Opener() as opener:
            return identify(opener, file, self._secret).file_id == file.file_id


def _report(known: Format | None, file: InputFile) -> FileReport:
    return FileReport(file.file_id, file.path_id, known.name if known else None, bytes=file.size)


def _final_report(report: FileReport, file: InputFile) -> FileReport:
    """Return the report of a file that was read.

    A file that no format recognises, read as the one that was asked for, and of which nothing is
    stored, may be tried as another.
    """
    if file.format is None and report.n_records == report.n_rejects:
        report.status = NOT_RECOGNISED
    return report


def _reraise_ours(error: Exception) -> None:
    """Raise what is not the fault of one file; a parser's own failure stays with its file."""
    if isinstance(error, LakehouseError):
        raise error
    if isinstance(error, MemoryError):
        raise EngineError(
            "A worker ran out of memory while parsing.", "Run again with more memory free."
        ) from None


def _file_ids(batch: RawBatch) -> list[str]:
    rejects = batch.tables.get("rejects")
    return [] if rejects is None else cast("list[str]", rejects["file_id"].to_pylist())


def _rejects_of_batch(
    batch: RawBatch, ingest_id: str, name: str | None, file_id: str | None
) -> pa.Table:
    """Return the rejects of a batch as one table that names ingest, file and format."""
    parts = [rejects_table(batch.rejects)]
    if "rejects" in batch.tables:
        parts.append(batch.tables["rejects"])
    table = pa.concat_tables(parts, promote_options="permissive")
    if file_id is not None:
        table = _with(table, "file_id", pc.fill_null(table["file_id"], file_id))
    table = _with(table, "ingest_id", pa.repeat(ingest_id, len(table)))
    return _with(table, "format", pa.repeat(pa.scalar(name, pa.string()), len(table)))


def _with(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    position = table.schema.get_field_index(name)
    if position < 0:
        return table.append_column(name, values)
    return table.set_column(position, name, values)


def _count(rejects: pa.Table, reports: dict[str, FileReport]) -> int:
    """Count rejected records and warnings into the reports; return the rejected records."""
    if not len(rejects):
        return 0
    whole = pc.equal(rejects["level"], "record")
    refused = rejects.filter(pc.and_(whole, pc.greater_equal(rejects["record_ordinal"], 0)))
    by_file = refused.group_by("file_id").aggregate([("record_ordinal", "count_distinct")])
    for file_id, count in zip(*(by_file[n].to_pylist() for n in by_file.column_names), strict=True):
        reports[file_id].n_rejects += count
    noted = rejects.filter(pc.invert(whole)).group_by("file_id").aggregate([([], "count_all")])
    for file_id, count in zip(*(noted[n].to_pylist() for n in noted.column_names), strict=True):
        reports[file_id].n_warnings += count
    return sum(by_file["record_ordinal_count_distinct"].to_pylist())

"""Reads files into validated raw batches, with one report per file.

A damaged file never harms its neighbours: where a parser fails, that file ends as a reject of
ordinal -1. A file that changed after its listing ends the ingest, since its rows would stand
under the digest of another content.
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

FILES_PER_RUN = 4_000
"""Files that a parser reads together; their reports stay in memory until the last is read."""

MAX_SHARED_COUNTS = 4096
"""Different counts of dropped elements that files may share before the reader forgets them."""


@dataclass(frozen=True)
class ReadOptions:
    """Options with which a format reads files.

    Attributes:
        ingest_id: Id of the ingest; every reject names it.
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
        """Return a file as a format sees it."""
        return Source(
            file.file_id,
            self.time_zone,
            self.authority,
            file.content_size,
            self.mappings,
            truncated=file.packing == TRUNCATED,
        )


def read_files(
    files: Iterable[InputFile], options: ReadOptions, secret: Secret
) -> Iterator[ParsedBatch]:
    """Yield the validated raw batches of the files, in their order.

    Raises:
        InputError: A file changed or vanished after its listing.
        MissingExtraError: A format needs a package that is not installed.
    """
    with Opener() as opener:
        reader = _Reader(opener, options, secret)
        for (name, is_truncated), group in groupby(
            files, lambda f: (reader.format_of(f), f.packing == TRUNCATED)
        ):
            format_ = format_named(name) if name else None
            if isinstance(format_, ManyFilesFormat) and not is_truncated:
                while run := deque(islice(group, FILES_PER_RUN)):
                    yield from reader.read_many(format_, run)
            else:
                for file in group:
                    yield from reader.read_one(format_, file)


class _Reader:
    def __init__(self, opener: Opener, options: ReadOptions, secret: Secret) -> None:
        self._opener = opener
        self._options = options
        self._secret = secret
        self._fault: LakehouseError | None = None
        self._streams_done = Tally()
        self._current: Content | None = None
        self._counts: dict[frozenset[tuple[str, int]], Counter[str]] = {}

    def format_of(self, file: InputFile) -> str | None:
        """Return the name of the format to read a file with."""
        return None if file.packing == BROKEN else self._options.format or file.format

    def read_one(self, format_: Format | None, file: InputFile) -> Iterator[ParsedBatch]:
        """Yield the batches of one file; its report comes with the last."""
        report = _new_report(format_, file)
        if file.packing == BROKEN:
            last = self._unreadable(report, "archive", "The packed file is damaged or encrypted.")
            last.tally = Tally(1, bytes=file.content_size)
            yield last
            return
        if format_ is None:
            report.status = NOT_RECOGNISED
            yield ParsedBatch(RawBatch({}), [report], Tally(1, bytes=file.content_size))
            return
        crashed = False
        n_read = 0
        with self._open_hashed(file) as content:
            stream = buffered(content, BUFFER)  # a name, since its end closes the content
            try:
                for batch in format_.parse(stream, self._options.source(file)):
                    parsed = self._validated_batch(batch, format_, {file.file_id: report})
                    parsed.tally += Tally(bytes=content.n_hashed - n_read)
                    n_read = content.n_hashed
                    yield parsed
            except Exception as error:
                _reraise_ours(error)
                crashed = True
            self._check_unchanged(content)
        if crashed:
            last = self._unreadable(report, format_.name, "The rest of the file cannot be parsed.")
        elif file.packing == TRUNCATED:
            last = self._unreadable(report, "archive", "The end of the packed file is missing.")
        else:
            last = ParsedBatch(RawBatch({}), [report])
        _final_report(report, file)
        last.tally = Tally(1, bytes=max(file.content_size - n_read, 0))
        yield last

    def read_many(
        self, format_: ManyFilesFormat, waiting: deque[InputFile]
    ) -> Iterator[ParsedBatch]:
        """Yield batches of many files each; where the parser fails, read on file by file."""
        while waiting:
            given: dict[str, InputFile] = {}
            reports: dict[str, FileReport] = {}
            answered: set[str] = set()
            crashed = False
            reported, self._streams_done, self._current = Tally(), Tally(), None
            with closing(self._streams(waiting, given)) as streams:
                try:
                    for batch in format_.parse_many(streams):
                        for file_id in given.keys() - reports.keys():
                            reports[file_id] = _new_report(format_, given[file_id])
                        parsed = self._validated_batch(batch, format_, reports)
                        answered.update(batch.by_file, _file_ids(parsed.batch))
                        self._raise_fault()
                        so_far = self._streams_done + Tally(
                            bytes=self._current.n_hashed if self._current else 0
                        )
                        parsed.tally += so_far - reported
                        reported = so_far
                        yield parsed
                except Exception as error:
                    _reraise_ours(error)
                    crashed = True
            self._raise_fault()
            if not given:  # the parser takes no more files, so read the next one by itself
                file = waiting.popleft()
                given[file.file_id] = file
            elif not crashed:
                answered.update(given)
            ended = [f for i, f in given.items() if i in answered]
            if crashed:
                yield from self._incomplete_files(format_, [(f, reports[f.file_id]) for f in ended])
            yield ParsedBatch(
                RawBatch({}),
                [
                    _final_report(reports.get(f.file_id) or _new_report(format_, f), f)
                    for f in ended
                ],
                Tally(len(ended), bytes=sum(f.content_size for f in ended)) - reported,
            )
            for file in (f for i, f in given.items() if i not in answered):
                yield from self.read_one(format_, file)

    def _incomplete_files(
        self, format_: Format, answered: Iterable[tuple[InputFile, FileReport]]
    ) -> Iterator[ParsedBatch]:
        """Yield a reject for each file that lost records when the parser failed on another file.

        Reading each file again shows which: a batch may end inside a file, and batches come in
        any order. A replay stores the lost records.
        """
        for file, report in answered:
            n_records = 0
            with self._open_hashed(file) as content:
                stream = buffered(content, BUFFER)
                try:
                    for batch in format_.parse(stream, self._options.source(file)):
                        n_records += batch.n_records
                except Exception as error:
                    _reraise_ours(error)
                    n_records = -1
                self._check_unchanged(content)
            if n_records != report.n_records:
                incomplete = self._unreadable(
                    report, format_.name, "A part of the file was not stored."
                )
                yield ParsedBatch(incomplete.batch)  # the report comes with those of its neighbours

    def _streams(
        self, waiting: deque[InputFile], given: dict[str, InputFile]
    ) -> Generator[tuple[BinaryIO, Source], None, None]:
        while waiting:
            file = waiting.popleft()
            given[file.file_id] = file
            with self._open_hashed(file) as content:
                self._current = content
                stream = buffered(content, BUFFER)
                yield stream, self._options.source(file)
                self._current = None
                try:
                    self._check_unchanged(content)
                except LakehouseError as fault:
                    self._fault = fault
                    raise
                self._streams_done += Tally(1, bytes=file.content_size)

    def _raise_fault(self) -> None:
        """Raise the error that ended the streams, in case the parser swallowed it."""
        if self._fault is not None:
            raise self._fault

    def _open_hashed(self, file: InputFile) -> Content:
        hasher = None if file.has_fingerprint else self._secret.hasher("file")
        return self._opener.open(file, hasher)

    def _validated_batch(
        self, batch: RawBatch, format_: Format, reports: dict[str, FileReport]
    ) -> ParsedBatch:
        """Return the batch validated, its rejects stamped and counted in the reports."""
        batch = validate(batch, format_.name)
        only = next(iter(reports)) if len(reports) == 1 else None
        if only is not None and not batch.by_file:
            batch.by_file[only] = batch.n_records
        for file_id, n_records in batch.by_file.items():
            reports[file_id].n_records += n_records
        if batch.dropped:  # in a batch of many files, the first stands for all
            self._add_dropped(reports[next(iter(batch.by_file or reports))], batch.dropped)
        for file_id, dropped in batch.dropped_by_file.items():
            self._add_dropped(reports[file_id], dropped)
        rejects = _rejects_of_batch(batch, self._options.ingest_id, format_.name, only)
        n_rejects = _count_rejects(rejects, reports)
        tables = {name: t for name, t in batch.tables.items() if name != "rejects"}
        if len(rejects):
            tables["rejects"] = rejects
        tally = Tally(0, batch.n_records, n_rejects)
        return ParsedBatch(replace(batch, tables=tables, rejects=[]), tally=tally)

    def _add_dropped(self, report: FileReport, dropped: Counter[str]) -> None:
        """Add to a report the elements of its file that no mapping names.

        The images of a series all hold the same, so their reports share one counter. A report
        lives until the ledger is written, and these counters are most of its memory.
        """
        counts = report.dropped + dropped
        if len(self._counts) == MAX_SHARED_COUNTS:
            self._counts.clear()
        report.dropped = self._counts.setdefault(frozenset(counts.items()), counts)

    def _unreadable(self, report: FileReport, family: str, message: str) -> ParsedBatch:
        report.status = UNREADABLE
        fault = RawBatch({}, [Reject(-1, f"{family}.unreadable", message)])
        rejects = _rejects_of_batch(fault, self._options.ingest_id, report.format, report.file_id)
        return ParsedBatch(RawBatch({"rejects": rejects}), [report])

    def _check_unchanged(self, content: Content) -> None:
        """Raise an error for a file that changed after its listing.

        A content that the parser read in order and whole proves itself by its digest. For any
        other (a parser skips the pixels) the modification time decides. Where the file is too
        new for that, the reader identifies it again.
        """
        file = content.file
        if content.failure is not None and not isinstance(content.failure, BrokenContent):
            raise content.failure
        try:
            if content.is_complete and not content.closed:
                same = content.digest() == file.file_id
            else:
                same = self._is_unchanged(file)
        except BrokenContent:
            same = False
        if not same:
            raise file.error(
                "changed while it was being read", "Run the command again once it is written."
            )

    def _is_unchanged(self, file: InputFile) -> bool:
        size, modified = stored_state(file)
        if size != file.stored_size:
            return False
        if modified == file.modified and file.listed_at - modified > CLOCK_TICK_NS:
            return True
        with Opener() as opener:
            return identify(opener, file, self._secret).file_id == file.file_id


def _new_report(format_: Format | None, file: InputFile) -> FileReport:
    return FileReport(
        file.file_id, file.path_id, format_.name if format_ else None, bytes=file.size
    )


def _final_report(report: FileReport, file: InputFile) -> FileReport:
    """Return the final report of a file.

    A file without a stored record that no format recognises may be read as another format later.
    """
    if file.format is None and report.n_records == report.n_rejects:
        report.status = NOT_RECOGNISED
    return report


def _reraise_ours(error: Exception) -> None:
    """Raise an error that is not the fault of one file; any other stays with its file."""
    if isinstance(error, LakehouseError):
        raise error
    if isinstance(error, MemoryError):
        raise EngineError(
            "A worker ran out of memory while parsing.", "Free memory, then run it again."
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
        table = _with_column(table, "file_id", pc.fill_null(table["file_id"], file_id))
    table = _with_column(table, "ingest_id", pa.repeat(ingest_id, len(table)))
    return _with_column(table, "format", pa.repeat(pa.scalar(name, pa.string()), len(table)))


def _with_column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    position = table.schema.get_field_index(name)
    if position < 0:
        return table.append_column(name, values)
    return table.set_column(position, name, values)


def _count_rejects(rejects: pa.Table, reports: dict[str, FileReport]) -> int:
    """Add rejected records and warnings to the reports; return the number of rejected records."""
    if not len(rejects):
        return 0
    is_record = pc.equal(rejects["level"], "record")
    rejected = rejects.filter(pc.and_(is_record, pc.greater_equal(rejects["record_ordinal"], 0)))
    by_file = rejected.group_by("file_id").aggregate([("record_ordinal", "count_distinct")])
    for file_id, count in zip(*(by_file[n].to_pylist() for n in by_file.column_names), strict=True):
        reports[file_id].n_rejects += count
    warnings = (
        rejects.filter(pc.invert(is_record)).group_by("file_id").aggregate([([], "count_all")])
    )
    for file_id, count in zip(
        *(warnings[n].to_pylist() for n in warnings.column_names), strict=True
    ):
        reports[file_id].n_warnings += count
    return sum(by_file["record_ordinal_count_distinct"].to_pylist())

"""Reads DICOM files into raw batches: each object becomes a record or a reject."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import cache
from typing import BinaryIO, cast

from lakehouse.batch import RawBatch, Reject, Source
from lakehouse.formats import SNIFF_BYTES
from lakehouse.formats.dicom.columns import add_tables
from lakehouse.formats.dicom.content.rows import TreeRows, tree_tags
from lakehouse.formats.dicom.encoding.dicomdir import DIRECTORY
from lakehouse.formats.dicom.encoding.header import looks_like_dicom, read_header
from lakehouse.formats.dicom.encoding.window import MAX_VALUE, Unreadable
from lakehouse.formats.dicom.mapping import header_tags
from lakehouse.formats.dicom.model_json import looks_like_json, read_json
from lakehouse.formats.dicom.record import Record, from_header
from lakehouse.formats.dicom.vocabulary.devices import add_site_devices
from lakehouse.formats.dicom.vocabulary.dictionary import tag_name

BATCH_RECORDS = 2_000
"""Records a batch: some ten megabytes of header values."""

BATCH_WEIGHT = 256 * 1024 * 1024
"""Bytes of headers a batch, should they be large."""

BATCH_TREE_ROWS = 100_000
"""Rows of reports and radiotherapy a batch."""

_SOP_CLASS, _MEDIA_CLASS = 0x00080016, 0x00020002
_IDENTITY = (0x00080018, 0x00020003, 0x0020000D, 0x0020000E, 0x00080060, 0x00100020)
_NEEDED = (0x00080018, 0x00100020, 0x0020000D, 0x0020000E)
"""Instance, patient, study and series: without them an instance joins nothing."""


class _Batch:
    """What is gathered until there is enough for a RawBatch."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.trees = TreeRows()
        self.weight = 0
        self.raw = RawBatch({})

    def full(self) -> bool:
        return (
            self.raw.n_records >= BATCH_RECORDS
            or self.trees.n_rows >= BATCH_TREE_ROWS
            or self.weight >= BATCH_WEIGHT
        )

    def count(self, source: Source) -> None:
        self.raw.n_records += 1
        self.raw.by_file[source.file_id] += 1

    def reject(self, source: Source, ordinal: int, fault: Unreadable) -> None:
        self.raw.rejects.append(
            Reject(ordinal, fault.rule, fault.message, fault.location, file_id=source.file_id)
        )

    def take(self, record: Record) -> None:
        """Take a record: its trees at once, its plain values when the batch is full."""
        if (record.text(_SOP_CLASS) or record.text(_MEDIA_CLASS)) == DIRECTORY:
            raise Unreadable(
                "dicom.directory",
                "A DICOMDIR is an index; the instances that it names are read where they lie.",
            )
        if not any(record.text(tag) for tag in _IDENTITY):
            raise Unreadable("dicom.no-identity", "The object names no patient, study or modality.")
        self.trees.add(record)
        for tag, (vr, _) in record.values.items():
            if vr == b"SQ":
                record.values[tag] = (vr, (True,))  # that it is there is all that is asked later
        self.records.append(record)
        self.weight += record.weight
        n_dropped = record.n_elements - record.n_mapped
        self.raw.count_dropped(record.source.file_id, "dicom.elements", n_dropped)
        for rule, message, location in record.warnings:
            self.raw.rejects.append(
                Reject(
                    record.ordinal,
                    rule,
                    message,
                    location,
                    level="warning",
                    file_id=record.source.file_id,
                )
            )

    def to_raw_batch(self) -> RawBatch:
        if self.records:
            add_tables(self.records, self.raw)
            self.raw.tables |= self.trees.tables()
        return self.raw


def read_many(files: Iterable[tuple[BinaryIO, Source]]) -> Iterator[RawBatch]:
    """Yield the rows of many files in few batches; a file's records follow one another."""
    batch = _Batch()
    for stream, source in files:
        add_site_devices(source.mappings)
        for found in _records(stream, source):
            batch.count(source)
            ordinal = found[0]
            try:
                if isinstance(found[1], Unreadable):
                    raise found[1]
                batch.take(found[1])
            except Unreadable as fault:
                batch.reject(source, ordinal, fault)
            if batch.full():
                yield batch.to_raw_batch()
                batch = _Batch()
    if batch.raw.n_records:
        yield batch.to_raw_batch()


def _records(stream: BinaryIO, source: Source) -> Iterator[tuple[int, Record | Unreadable]]:
    head = stream.read(SNIFF_BYTES)
    if stream.seekable():
        stream.seek(0)
    else:
        stream = cast(BinaryIO, _PrefixedStream(head, stream))
    if looks_like_json(head) and not looks_like_dicom(head):
        yield from read_json(stream, source)
        return
    try:
        header = read_header(stream, _read_tags(source.mappings))
        record = from_header(header, source)
        for tag in _NEEDED:
            if tag not in record.values:
                record.warnings.append(
                    ("dicom.missing", "The object lacks an identifier.", tag_name(tag))
                )
        if header.truncated:
            record.warnings.append(
                ("dicom.pixels", "The file ends inside its pixel data.", "(7FE0,0010)")
            )
        yield 0, record
    except Unreadable as fault:
        yield 0, fault


@cache
def _read_tags(folders: tuple[str, ...]) -> dict[int, bytes]:
    return header_tags(folders) | tree_tags()


def fingerprint(stream: BinaryIO) -> bytes | None:
    """Return the bytes before the pixel data, or None where they cannot be told apart."""
    recorder = None if stream.seekable() else _Recorder(stream)
    try:
        header = read_header(cast(BinaryIO, recorder or stream), {})
    except Unreadable:
        return None
    if header.end is None:
        return None
    if recorder is not None:
        return recorder.first_bytes(header.end)
    stream.seek(0)
    return stream.read(header.end)


class _Recorder(io.RawIOBase):
    """A sequential stream that remembers what was read from it, up to a limit."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._seen = bytearray()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if len(self._seen) <= MAX_VALUE:
            self._seen += data
        return data

    def first_bytes(self, end: int) -> bytes | None:
        """Return the first bytes, or None when there were too many to remember."""
        return bytes(self._seen[:end]) if end <= len(self._seen) else None


class _PrefixedStream(io.RawIOBase):
    """A sequential stream with the beginning that was read from it put back."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            data, self._head = self._head + self._rest.read(), b""
            return data
        data, self._head = self._head[:size], self._head[size:]
        return data if len(data) == size else data + self._rest.read(size - len(data))

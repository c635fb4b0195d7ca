"""Decodes a file into its parts, because a search of compressed bytes finds nothing.

A Parquet file has a footer, statistics, pages and values; an Avro file a header and blocks; SQLite
rows; gzip and zip archives their members. Every file also has its raw bytes.
"""

from __future__ import annotations

import gzip
import io
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.verification.parquet_pages import count_bloom_filters, pages, salvage_pages

Piece = tuple[str, bytes]
"""Name of a part of a file, and its decoded bytes."""

VALUES, NUMBERS = "values", "numbers"
"""Prefixes of the names of parts that are a column's values, one a line."""


class DecodeError(Exception):
    """A file, or a part of it, cannot be decoded in the format that it begins with."""


_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    EOFError,
    zlib.error,
    pa.ArrowException,
    sqlite3.Error,
    zipfile.BadZipFile,
)


def decode_parts(data: bytes) -> Iterator[Piece]:
    """Yield the decoded parts of a file.

    Raises:
        DecodeError: The file is damaged, or has a part that cannot be searched, such as a Bloom
            filter. A scanner must not take it for clean.

    Examples:
        >>> [part for part, _ in decode_parts(gzip.compress(b"text"))]
        ['bytes', 'gzip: bytes']
    """
    yield "bytes", data
    for magic, kind, decode in _DECODERS:
        if data.startswith(magic):
            try:
                for part, piece in decode(data):
                    yield f"{kind}: {part}", piece
            except _DAMAGE as error:
                raise DecodeError(kind) from error


def _parquet(data: bytes) -> Iterator[Piece]:
    try:
        file = pq.ParquetFile(io.BytesIO(data))
    except _DAMAGE:
        yield from (("pages", page) for page in salvage_pages(data))
        raise
    footer = file.metadata
    yield "footer", repr(footer.metadata).encode() + repr(footer.schema).encode()
    for group in (footer.row_group(i) for i in range(footer.num_row_groups)):
        for chunk in (group.column(i) for i in range(group.num_columns)):
            if chunk.is_stats_set and chunk.statistics.has_min_max:
                bounds = f"{chunk.statistics.min}\n{chunk.statistics.max}"
                kind = "bounds" if chunk.physical_type == "BYTE_ARRAY" else NUMBERS
                yield f"{kind} of {chunk.path_in_schema}", bounds.encode()
    for column, page in pages(data):
        yield f"pages of {column}", page
    for name in file.schema_arrow.names:
        for batch in file.iter_batches(columns=[name]):
            values = batch.column(0)
            yield f"{NUMBERS if _numeric(values.type) else VALUES} of {name}", _text(values)
    if count_bloom_filters(data):
        raise ValueError("Bloom filter")


def _numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _text(values: pa.Array) -> bytes:
    """Return the values as text, one a line."""
    if not pa.types.is_string(values.type):
        values = values.cast(pa.string())
    lines = (v.replace("\n", " ") for v in values.to_pylist() if v is not None)
    return "\n".join(lines).encode()


_SYNC = 16


def _avro(data: bytes) -> Iterator[Piece]:
    """Yield header and blocks of an object container file (Apache Avro 1.11 specification)."""
    stream = io.BytesIO(data)
    stream.seek(4)
    codec = b"null"
    while count := _long(stream):
        if count < 0:
            _long(stream)
        for _ in range(abs(count)):
            key, value = stream.read(_long(stream)), stream.read(_long(stream))
            if key == b"avro.codec":
                codec = value
            yield "header", key + b" " + value
    stream.read(_SYNC)
    while stream.tell() < len(data):
        _long(stream)
        block = stream.read(_long(stream))
        if codec == b"deflate":
            block = zlib.decompress(block, -15)
        elif codec == b"zstandard":
            block = pa.input_stream(pa.BufferReader(block), compression="zstd").read()
        elif codec != b"null":
            raise ValueError("codec")
        yield "blocks", block
        stream.read(_SYNC)


def _long(stream: io.BytesIO) -> int:
    value = shift = 0
    while True:
        byte = stream.read(1)[0]
        value |= (byte & 127) << shift
        if byte < 128:
            return (value >> 1) ^ -(value & 1)
        shift += 7


def _sqlite(data: bytes) -> Iterator[Piece]:
    with sqlite3.connect(":memory:") as database:
        database.deserialize(data)
        for line in database.iterdump():
            yield "rows", line.encode()
    database.close()


def _gzip(data: bytes) -> Iterator[Piece]:
    yield from decode_parts(gzip.decompress(data))


def _zip(data: bytes) -> Iterator[Piece]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            yield "name", info.filename.encode()
            yield from decode_parts(archive.read(info))


_DECODERS = (
    (b"PAR1", "parquet", _parquet),
    (b"Obj\x01", "avro", _avro),
    (b"SQLite format 3\x00", "sqlite", _sqlite),
    (b"\x1f\x8b", "gzip", _gzip),
    (b"PK\x03\x04", "zip", _zip),
)

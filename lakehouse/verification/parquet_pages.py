"""The decompressed pages of a Parquet file.

A column reader returns values only, but a page can hold more, such as an unused dictionary entry.
So this module reads the page headers itself (Apache Parquet format, Thrift compact protocol).
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

_BOOL, _BYTE, _INTS, _DOUBLE = (1, 2), 3, (4, 5, 6), 7
_BINARY, _LIST, _STRUCT = 8, (9, 10), 12


class _Thrift:
    """A reader of the Thrift compact protocol; it keeps integers, lists and structs."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self) -> dict[int, object]:
        """Return the integers and structs of a struct by field id."""
        fields: dict[int, object] = {}
        field = 0
        while True:
            head = self.data[self.at]
            self.at += 1
            if head == 0:
                return fields
            field = field + (head >> 4) if head >> 4 else self.zigzag()
            fields[field] = self.value(head & 15)

    def value(self, kind: int) -> object:
        if kind in _BOOL:
            return kind == 1
        if kind == _BYTE:
            self.at += 1
        elif kind in _INTS:
            return self.zigzag()
        elif kind == _DOUBLE:
            self.at += 8
        elif kind == _BINARY:
            size = self.varint()
            self.at += size
        elif kind in _LIST:
            head = self.data[self.at]
            self.at += 1
            size = head >> 4 if head >> 4 < 15 else self.varint()
            return [self.value(head & 15) for _ in range(size)]
        elif kind == _STRUCT:
            return self.struct()
        return None


def pages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (column, decompressed page) for every page of a Parquet file.

    Raises:
        pa.ArrowInvalid: The bytes are no Parquet file, or a page is damaged.
    """
    footer = pq.read_metadata(io.BytesIO(data))
    view = memoryview(data)
    for group in (footer.row_group(i) for i in range(footer.num_row_groups)):
        for chunk in (group.column(i) for i in range(group.num_columns)):
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                start = min(start, chunk.dictionary_page_offset)
            end = start + chunk.total_compressed_size
            while start < end:
                header = _Thrift(view[start:end])
                fields = header.struct()
                body = start + header.at
                size = _number(fields[3])
                content = _page(view[body : body + size], fields, chunk.compression)
                yield chunk.path_in_schema, content
                start = body + size


def salvage_pages(data: bytes) -> Iterator[bytes]:
    """Yield the decompressed pages of an incomplete Parquet file.

    Only the footer states the compression; this software writes zstd.
    """
    view = memoryview(data)
    start = len(b"PAR1")
    while start < len(data):
        header = _Thrift(view[start:])
        try:
            fields = header.struct()
            body = start + header.at
            size = _number(fields[3])
            content = view[body : body + size]
            yield _page(content, fields, "ZSTD" if _ZSTD in bytes(content) else "UNCOMPRESSED")
        except (IndexError, KeyError, OSError, ValueError):
            return
        start = body + size


_ZSTD = b"\x28\xb5\x2f\xfd"
"""Magic number of a zstd frame (RFC 8878)."""


_GROUPS, _CHUNKS, _COLUMN, _BLOOM_FILTER = 4, 1, 3, 14
"""Fields of ``FileMetaData``, ``RowGroup``, ``ColumnChunk`` and ``ColumnMetaData``."""


def count_bloom_filters(data: bytes) -> int:
    """Return the number of Bloom filters in a Parquet file.

    This software writes none. A filter reveals whether a value is in the column, which a search
    of the bytes cannot see.
    """
    size = int.from_bytes(data[-8:-4], "little")
    footer = _Thrift(memoryview(data)[-8 - size : -8]).struct()
    count = 0
    for group in _parts(footer, _GROUPS):
        for chunk in _parts(group, _CHUNKS):
            column = chunk.get(_COLUMN)
            count += isinstance(column, dict) and _BLOOM_FILTER in column
    return count


def _parts(struct: dict[int, object], field: int) -> list[dict[int, object]]:
    items = struct.get(field)
    return [p for p in items if isinstance(p, dict)] if isinstance(items, list) else []


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise pa.ArrowInvalid("A page header of the Parquet file cannot be read.")
    return value


def _page(body: memoryview, fields: dict[int, object], compression: str) -> bytes:
    full = _number(fields[2])
    plain = 0
    second = fields.get(8)
    if isinstance(second, dict):  # a data page of version 2 keeps its levels uncompressed
        plain = _number(second.get(5, 0)) + _number(second.get(6, 0))
        if second.get(7) is False:
            return bytes(body)
    if compression == "UNCOMPRESSED" or full == plain:
        return bytes(body)
    codec = pa.Codec(compression.lower())
    levels = bytes(body[:plain])
    values: bytes = codec.decompress(body[plain:], full - plain, asbytes=True)
    return levels + values

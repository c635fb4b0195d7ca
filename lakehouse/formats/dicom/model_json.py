"""The JSON forms: the DICOM JSON model (PS3.18 annex F) and flat metadata, as one or many objects.

An array, one object a line and a single object are read alike: object after object from a
bounded buffer.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, BinaryIO

from lakehouse.batch import Source
from lakehouse.formats.dicom.encoding.elements import MAX_DEPTH
from lakehouse.formats.dicom.encoding.values import parts
from lakehouse.formats.dicom.encoding.window import Unreadable
from lakehouse.formats.dicom.record import Item, Record

_MODEL = re.compile(rb'"[0-9A-Fa-f]{8}"\s*:\s*\{\s*"(?:vr|Value|BulkDataURI|InlineBinary)"')
_FLAT = re.compile(rb'"(?:study|series|sop)_instance_uid"|"(?:Study|Series|SOP)InstanceUID"')
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)\S*)?")

MAX_OBJECT = 64 * 1024 * 1024
"""Characters of the largest object that is taken into memory."""

CHUNK = 1 << 20
_BETWEEN = " \t\r\n,[]\ufeff"


def looks_like_json(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is DICOM as JSON.

    Examples:
        >>> looks_like_json(b'[{"00080060": {"vr": "CS", "Value": ["CT"]}}]')
        True
        >>> looks_like_json(b'{"resourceType": "Patient"}')
        False
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return start in (b"{", b"[") and bool(_MODEL.search(head) or _FLAT.search(head))


def read_json(stream: BinaryIO, source: Source) -> Iterator[tuple[int, Record | Unreadable]]:
    """Yield ordinal and record (or why there is none) of each object in a file."""
    for ordinal, found in enumerate(_objects(stream)):
        try:
            if isinstance(found, Unreadable):
                raise found
            yield ordinal, _record(found, source, ordinal)
        except Unreadable as fault:
            yield ordinal, fault


def _objects(stream: BinaryIO) -> Iterator[Any]:
    """Yield each object of an array, of lines or alone; an Unreadable ends the file."""
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace")
    decoder = json.JSONDecoder()
    buffer, pos, size = "", 0, CHUNK
    try:
        while True:
            while pos < len(buffer) and buffer[pos] in _BETWEEN:
                pos += 1
            more = pos >= len(buffer)
            if not more:
                try:
                    found, pos = decoder.raw_decode(buffer, pos)
                    size = CHUNK
                    yield found
                    continue
                except RecursionError:
                    yield Unreadable("dicom.nesting", "The JSON is nested too deep.")
                    return
                except json.JSONDecodeError:
                    more = True
            if len(buffer) - pos > MAX_OBJECT:
                yield Unreadable("dicom.json", "An object of the file is too large.")
                return
            piece = text.read(size)
            if not piece:
                break
            size *= 2
            buffer, pos = buffer[pos:] + piece, 0
        if pos < len(buffer):
            yield Unreadable("dicom.json", "The rest of the file is not valid JSON.")
    finally:
        text.detach()


def _record(found: Any, source: Source, ordinal: int) -> Record:
    if not isinstance(found, dict):
        raise Unreadable("dicom.json", "An object was expected.")
    if any(_TAG.fullmatch(key) for key in found):
        record = Record(source, ordinal, dict(_item(found, 0).items()))
    else:
        record = _flat(found, source, ordinal)
    record.n_elements = len(found)
    record.n_mapped = sum(1 for tag in record.values if tag in _read_tags(source.mappings))
    record.flatten()
    return record


@cache
def _read_tags(folders: tuple[str, ...]) -> frozenset[int]:
    from lakehouse.formats.dicom.content.rows import tree_tags
    from lakehouse.formats.dicom.mapping import header_tags

    return frozenset(header_tags(folders) | tree_tags())


def _item(model: Mapping[str, Any], depth: int) -> Item:
    """Return the elements of one object of the DICOM JSON model."""
    if depth > MAX_DEPTH:
        raise Unreadable("dicom.nesting", "Sequences are nested too deep.")
    item: Item = {}
    for key, element in model.items():
        if not _TAG.fullmatch(key) or not isinstance(element, dict):
            raise Unreadable("dicom.json", "An element is not of the DICOM JSON model.")
        vr, given = str(element.get("vr", "UN"))[:2].encode(), element.get("Value")
        if not given or not isinstance(given, list):
            continue
        if vr == b"SQ":
            if not all(isinstance(i, dict) for i in given):
                raise Unreadable("dicom.json", "A sequence holds something that is no item.")
            item[int(key, 16)] = (vr, [_item(i, depth + 1) for i in given])
        else:
            item[int(key, 16)] = (vr, tuple(_plain(v) for v in given))
    return item


def _plain(value: Any) -> Any:
    """Return a single value; of a person's name its alphabetic form."""
    if isinstance(value, dict):
        return str(value.get("Alphabetic", ""))
    if isinstance(value, str):
        return value.strip(" \0")
    return value if isinstance(value, (int, float)) else ""


@cache
def flat_names(folders: tuple[str, ...] = ()) -> dict[str, tuple[int, bytes]]:
    """Return the keys of flat metadata: keywords as they are and in snake case."""
    from pydicom.datadict import keyword_for_tag

    from lakehouse.formats.dicom.mapping import header_tags

    found = {"study_status": (0x0032000A, b"CS")}
    for tag, vr in header_tags(folders).items():
        keyword = keyword_for_tag(tag)
        if keyword and vr != b"SQ":
            found[keyword] = found[_CAPITAL.sub("_", keyword).lower()] = (tag, vr)
    return found


def _flat(found: Mapping[str, Any], source: Source, ordinal: int) -> Record:
    """Return the record of one flat object: names to single values or lists of them."""
    record = Record(source, ordinal, {})
    known = flat_names(source.mappings)
    for key, value in found.items():
        if value is None or value == "":
            continue
        if key in ("file_size_mb", "file_size"):
            if isinstance(value, (int, float)) and 0 <= value < 1e12:
                record.file_size = round(value * 1_000_000) if key.endswith("mb") else int(value)
            continue
        if key not in known or isinstance(value, dict):
            continue
        tag, vr = known[key]
        many = value if isinstance(value, list) else [value]
        single = tuple(_plain(v) for v in many)
        if vr == b"DA" and isinstance(single[0], str) and (iso := _ISO_DATE.match(single[0])):
            record.values[tag] = (vr, ("".join(iso.groups()[:3]),))
            if iso[4]:  # a date with its time stands for both attributes
                record.values.setdefault(tag + 0x10, (b"TM", (iso[4],)))
        elif vr == b"CS" and isinstance(value, str):
            record.values[tag] = (vr, tuple(parts(vr, value)))
        else:
            record.values[tag] = (vr, single)
    return record

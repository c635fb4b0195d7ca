"""Parses chunks of messages into raw tables: decode, group by delimiters, tokenise, map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import RawBatch, Reject, Source
from lakehouse.formats.hl7v2.cross_checks import check_across_segments
from lakehouse.formats.hl7v2.datatypes.fields import Fields, Finding
from lakehouse.formats.hl7v2.encoding.buffers import Bools, Ints
from lakehouse.formats.hl7v2.encoding.charset import DecodedText, to_utf8
from lakehouse.formats.hl7v2.encoding.delimiters import Places, group, join
from lakehouse.formats.hl7v2.encoding.framing import MOST_SEGMENTS, TOO_LARGE, Chunk
from lakehouse.formats.hl7v2.encoding.segments import public_name
from lakehouse.formats.hl7v2.encoding.tokens import Delimiters, Tokens, tag_code, tag_name
from lakehouse.formats.hl7v2.mapping import SegmentMapping, load_mappings
from lakehouse.formats.hl7v2.rows import RowBuilder, Rows
from lakehouse.formats.hl7v2.segment_order import out_of_order

_DESCRIPTIVE = ("file_id", "record_type", "version", "sender_application", "sender_facility")


@dataclass(frozen=True)
class Part:
    """A chunk with the file it comes from.

    Attributes:
        chunk: Whole messages of the file.
        first_ordinal: Position in the file of the chunk's first message.
        source: What is known of the file.
    """

    chunk: Chunk
    first_ordinal: int
    source: Source


@dataclass(frozen=True)
class Messages:
    """What is known of each message beside its text, one entry per message.

    Attributes:
        file_ids: Files, by place in ``file``.
        file: Which file it comes from.
        ordinal: Its position in that file.
        offset: Byte at which it begins in that file.
        charset: Character set it was decoded with; empty where it could not be.
        unnamed: Whether MSH-18 names a set that is not messages, and that mattered.
    """

    file_ids: list[str]
    file: np.ndarray
    ordinal: np.ndarray
    offset: np.ndarray
    charset: np.ndarray
    unnamed: np.ndarray

    def take(self, which: np.ndarray) -> Messages:
        """Return some of the messages."""
        arrays = (self.file, self.ordinal, self.offset, self.charset, self.unnamed)
        return Messages(self.file_ids, *(a[which] for a in arrays))

    def reject(self, which: int, rule: str, message: str, location: str = "") -> Reject:
        """Return the reject of one of the messages."""
        return Reject(
            int(self.ordinal[which]),
            rule,
            message,
            location,
            byte_offset=int(self.offset[which]),
            file_id=self.file_ids[self.file[which]],
        )

    def file_column(self) -> pa.Array:
        """Return the file id of each message."""
        return pa.array(self.file_ids, pa.string()).take(pa.array(self.file))

    def by_file(self) -> Counter[str]:
        """Return the count of messages by file id."""
        counts: Counter[str] = Counter()
        for place, n in enumerate(np.bincount(self.file).tolist()):
            counts[self.file_ids[place]] += n  # a file of several chunks stands there several times
        return +counts


def parse_parts(parts: Sequence[Part]) -> Iterator[RawBatch]:
    """Yield the raw batches of some chunks, of one file or of many.

    One batch holds the messages that share their delimiters; reading many small files as one
    buffer costs what one large file costs. Zone, authority and mappings are those of the first.
    """
    parts = [p for p in parts if len(p.chunk.starts)]
    if not parts:
        return
    data, starts, messages = _join_parts(parts)
    mappings = load_mappings(parts[0].source.mappings)
    data, starts = _decode(data, starts, messages)
    groups = group(data, starts)
    bad = {int(i): _DELIMITERS for i in groups.pop(None, ())}
    bad |= {int(i): _UNDECODABLE for i in np.flatnonzero(messages.charset == "")}
    if bad:
        rejects = [messages.reject(i, *fault) for i, fault in sorted(bad.items())]
        which = messages.take(np.array(sorted(bad)))
        yield RawBatch({}, rejects, n_records=len(rejects), by_file=which.by_file())
    whole = len(groups) == 1 and not bad
    for delimiters, members in groups.items():
        good = members[messages.charset[members] != ""]
        if delimiters is not None and len(good):
            text = data if whole else join(data, starts, good)
            yield from _parse_group(
                text, delimiters, mappings, parts[0].source, messages.take(good)
            )


_UNDECODABLE = (
    "hl7v2.charset.undecodable",
    "Bytes that the declared character set does not allow.",
    "MSH-18",
)
_CONTINUED = ("hl7v2.segment.continued", "", "A text holds line ends that are not escaped.")
_STRAY = ("hl7v2.segment.stray", "", "Lines that are no segment were left out.")
_UNNAMED = (
    "hl7v2.charset.unknown",
    "MSH-18",
    "Names a character set that is not known; read by its content.",
)
_DELIMITERS = (
    "hl7v2.msh.delimiters",
    "MSH-1 and MSH-2 declare no usable delimiters.",
    "MSH-2",
)


def _join_parts(parts: Sequence[Part]) -> tuple[bytes, Places, Messages]:
    """Return the parts as one buffer, where its messages begin, and what is known of them."""
    texts, starts, at = [], [], 0
    for part in parts:
        first = int(part.chunk.starts[0])  # what stands before belongs to no message
        starts.append(part.chunk.starts + (at - first))
        texts.append(part.chunk.data[first:])
        at += len(texts[-1]) + 1
    sizes = [len(p.chunk.starts) for p in parts]
    ordinals = [
        np.arange(n, dtype=np.int64) + p.first_ordinal for n, p in zip(sizes, parts, strict=False)
    ]
    messages = Messages(
        [p.source.file_id for p in parts],
        np.repeat(np.arange(len(parts)), sizes),
        np.concatenate(ordinals),
        np.concatenate([p.chunk.offsets for p in parts]),
        np.full(sum(sizes), "us-ascii", dtype=object),
        np.zeros(sum(sizes), dtype=bool),
    )
    return b"\r".join(texts), np.concatenate(starts), messages


def _decode(data: bytes, starts: Places, messages: Messages) -> tuple[bytes, Places]:
    """Return the buffer in UTF-8 and where its messages begin; notes the sets it found."""
    if data.isascii() and b"\x1b" not in data:
        return data, starts
    texts: list[bytes] = []
    begins = starts.tolist()
    for i, (begin, end) in enumerate(zip(begins, [*begins[1:], len(data)], strict=True)):
        message = data[begin:end]
        if not message.isascii() or b"\x1b" in message:
            decoded = to_utf8(message) or DecodedText(message[:4] + b"\r", "", True)
            message, messages.charset[i] = decoded.text, decoded.charset
            messages.unnamed[i] = not decoded.named
        texts.append(message)
    sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return b"".join(texts), np.cumsum(sizes) - sizes


def _parse_group(
    data: bytes,
    delimiters: Delimiters,
    mappings: tuple[SegmentMapping, ...],
    source: Source,
    messages: Messages,
) -> Iterator[RawBatch]:
    """Yield the raw batches of messages that share their delimiters, halved while they are many."""
    tokens = Tokens(data, delimiters)
    n = tokens.n_messages
    if len(tokens.tags) <= MOST_SEGMENTS:
        yield _batch_of(tokens, mappings, source, messages)
    elif n == 1:
        yield RawBatch(
            {}, [messages.reject(0, *TOO_LARGE)], n_records=1, by_file=messages.by_file()
        )
    else:
        middle = int(tokens.message_start[n // 2])
        halves = (data[:middle], np.arange(n // 2)), (data[middle:], np.arange(n // 2, n))
        del tokens
        for half, which in halves:
            yield from _parse_group(half, delimiters, mappings, source, messages.take(which))


def _batch_of(
    tokens: Tokens, mappings: tuple[SegmentMapping, ...], source: Source, messages: Messages
) -> RawBatch:
    """Return the raw batch of messages that share their delimiters."""
    fields = Fields(tokens, source.time_zone, source.authority)
    rows: dict[str, list[Rows]] = {}
    for mapping in mappings:
        built = RowBuilder(fields, mapping).build()
        if built is not None:
            rows.setdefault(built.table, []).append(built)
    record_ids = _record_ids(messages)
    tables = {name: _table(parts, record_ids) for name, parts in rows.items() if name != "records"}
    unmapped = _unmapped_segments(tokens, mappings)
    tables["records"] = _records(rows["records"][0], tokens, unmapped, record_ids, messages)
    findings = [*check_across_segments(fields), *out_of_order(fields)]
    findings += fields.findings  # last: whoever reads a field may find it at fault
    for (rule, place, text), where in (
        (_CONTINUED, tokens.continued),
        (_STRAY, tokens.stray),
        (_UNNAMED, messages.unnamed),
    ):
        if where.any():
            findings.append(Finding(rule, place, text, np.flatnonzero(where).astype(np.int32)))
    if findings:
        tables["rejects"] = _findings(findings, tables["records"], messages)
    tables["records"] = tables["records"].append_column("_byte_offset", pa.array(messages.offset))
    return RawBatch(
        tables,
        n_records=len(messages.ordinal),
        by_file=messages.by_file(),
        dropped_by_file=_count_unmapped(tokens, unmapped, messages),
    )


def _record_ids(messages: Messages) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(messages.ordinal).cast(pa.string()), width=8, padding="0")
    prefix = pa.array([f[:16] for f in messages.file_ids]).take(pa.array(messages.file))
    return pc.binary_join_element_wise(prefix, digits, "-")


def _table(parts: list[Rows], record_ids: pa.Array) -> pa.Table:
    """Return one raw table, its rows numbered within each message by their place in it."""
    message = np.concatenate([p.message for p in parts])
    rows = pa.concat_tables([pa.table({**p.columns}) for p in parts], promote_options="default")
    if len(parts) > 1:
        order = np.argsort(np.concatenate([p.segment for p in parts]), kind="stable")
        message = message[order]
        rows = rows.take(pa.array(order))
    ordinal = _running(message)
    return (
        rows.combine_chunks()
        .add_column(0, "ordinal", pa.array(ordinal, pa.int32()))
        .add_column(0, "record_id", record_ids.take(pa.array(message)))
    )


def _running(message: Ints) -> Ints:
    """Return the position of each row among the rows of its message (rows are in order)."""
    if not len(message):
        return message
    first = np.append(True, message[1:] != message[:-1])
    starts = np.flatnonzero(first)
    positions: Ints = (np.arange(len(message)) - starts[np.cumsum(first) - 1]).astype(np.int32)
    return positions


def _records(
    rows: Rows, tokens: Tokens, unmapped: Bools, record_ids: pa.Array, messages: Messages
) -> pa.Table:
    """Return the records table: one row per message."""
    n = tokens.n_messages
    columns = {
        "record_id": record_ids,
        "file_id": messages.file_column(),
        "ordinal": pa.array(messages.ordinal, pa.int64()),
        "format": pa.repeat("hl7v2", n),
        "character_set": pa.array(messages.charset, pa.string()),
        "n_segments": pa.array(np.bincount(tokens.message, minlength=n), pa.int32()),
        "n_unmapped": pa.array(np.bincount(tokens.message[unmapped], minlength=n), pa.int32()),
    }
    return pa.table(columns | rows.columns)


def _count_unmapped(tokens: Tokens, unmapped: Bools, messages: Messages) -> dict[str, Counter[str]]:
    """Return, by file, how often each segment occurs that no mapping names."""
    counts_by_file: dict[str, Counter[str]] = {}
    files = messages.file[tokens.message[unmapped]].astype(np.int64)
    pairs, counts = np.unique((files << 24) | tokens.tags[unmapped], return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        name = public_name(tag_name(pair & 0xFFFFFF))
        counts_by_file.setdefault(messages.file_ids[pair >> 24], Counter())[name] += count
    return counts_by_file


def _unmapped_segments(tokens: Tokens, mappings: tuple[SegmentMapping, ...]) -> Bools:
    named = {tag for m in mappings for tag in (m.segment, *m.within, *m.after)} | {"MSH"}
    codes = [tag_code(tag.split()[-1]) for tag in named]
    unmapped: Bools = ~np.isin(tokens.tags, codes)
    return unmapped


def _findings(findings: list[Finding], records: pa.Table, messages: Messages) -> pa.Table:
    """Return findings as a raw rejects table, one row per rule, place and message."""

    def one(finding: Finding) -> pa.Table:
        which = np.unique(finding.messages)
        n, index = len(which), pa.array(which)
        described = {
            c: records.column(c).take(index) for c in _DESCRIPTIVE if c in records.column_names
        }
        return pa.table(
            {
                "record_ordinal": pa.array(messages.ordinal[which], pa.int64()),
                "byte_offset": pa.array(messages.offset[which], pa.int64()),
                "level": pa.repeat(finding.level, n),
                "rule": pa.repeat(finding.rule, n),
                "location": pa.repeat(finding.location, n),
                "message": pa.repeat(finding.message, n),
                **described,
            }
        )

    merged: dict[tuple[str, str], Finding] = {}
    for finding in findings:  # a field that is read in two ways is found at fault twice
        key = (finding.rule, finding.location)
        if key in merged:
            both = np.concatenate([merged[key].messages, finding.messages])
            finding = replace(finding, messages=both)
        merged[key] = finding
    return pa.concat_tables([one(f) for f in merged.values()], promote_options="default")

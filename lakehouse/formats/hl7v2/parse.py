"""One chunk of messages becomes raw tables: decode, group by delimiters, tokenise, map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.batch import RawBatch, Reject, Source
from lakehouse.formats.hl7v2.charset import to_utf8
from lakehouse.formats.hl7v2.delimiters import group, join
from lakehouse.formats.hl7v2.fields import Fields, Finding
from lakehouse.formats.hl7v2.framing import Chunk
from lakehouse.formats.hl7v2.mapping import Mapping, load_mappings
from lakehouse.formats.hl7v2.order import out_of_order
from lakehouse.formats.hl7v2.rows import RowBuilder, Rows
from lakehouse.formats.hl7v2.segments import public_name
from lakehouse.formats.hl7v2.tokens import Bools, Delimiters, Ints, Tokens, tag_code, tag_name

_DESCRIPTIVE = ("record_type", "version", "sender_application", "sender_facility")


def parse_chunk(chunk: Chunk, first_ordinal: int, source: Source) -> Iterator[RawBatch]:
    """Yield the raw batches of one chunk: one per set of delimiters that occurs in it.

    Args:
        chunk: Whole messages.
        first_ordinal: Position in the file of the chunk's first message.
        source: What is known of the file.
    """
    if not chunk.starts:
        return
    mappings = load_mappings(source.mappings)
    data, starts, sets = _decoded(chunk)
    offsets = np.array(chunk.offsets, dtype=np.int64)
    undecodable = np.flatnonzero(sets == "")
    rejects = [
        Reject(
            first_ordinal + int(i),
            "hl7v2.charset.undecodable",
            "Bytes that the declared character set does not allow.",
            "MSH-18",
            byte_offset=int(offsets[i]),
        )
        for i in undecodable
    ]
    groups = group(data, starts)
    for i in groups.pop(None, ()):
        if sets[i]:
            rejects.append(
                Reject(
                    first_ordinal + int(i),
                    "hl7v2.msh.delimiters",
                    "MSH-1 and MSH-2 declare no usable delimiters.",
                    "MSH-2",
                    byte_offset=int(offsets[i]),
                )
            )
    if rejects:
        yield RawBatch({}, rejects, n_records=len(rejects))
    whole = len(groups) == 1 and not rejects
    for delimiters, members in groups.items():
        if delimiters is None:
            continue
        good = members if not len(undecodable) else members[sets[members] != ""]
        if len(good):
            part = data if whole else join(data, starts, good)
            yield _group(
                part,
                delimiters,
                mappings,
                source,
                ordinals=good + first_ordinal,
                offsets=offsets[good],
                sets=sets[good],
            )


def _decoded(chunk: Chunk) -> tuple[bytes, list[int], np.ndarray]:
    """Return the chunk in UTF-8, where its messages begin, and each one's character set."""
    data, starts = chunk.data, chunk.starts
    sets = np.full(len(starts), "us-ascii", dtype=object)
    if data.isascii() and b"\x1b" not in data:
        return data, starts, sets
    parts: list[bytes] = [data[: starts[0]].decode("ascii", "ignore").encode()]
    places, at = [], len(parts[0])
    for i, (begin, end) in enumerate(zip(starts, [*starts[1:], len(data)], strict=True)):
        message = data[begin:end]
        if not message.isascii() or b"\x1b" in message:
            decoded = to_utf8(message)
            message, sets[i] = decoded if decoded else (message[:4] + b"\r", "")
        parts.append(message)
        places.append(at)
        at += len(message)
    return b"".join(parts), places, sets


def _group(
    data: bytes,
    delimiters: Delimiters,
    mappings: tuple[Mapping, ...],
    source: Source,
    *,
    ordinals: np.ndarray,
    offsets: np.ndarray,
    sets: np.ndarray,
) -> RawBatch:
    """Return the raw batch of messages that share their delimiters."""
    tokens = Tokens(data, delimiters)
    fields = Fields(tokens, source.time_zone, source.authority)
    rows: dict[str, list[Rows]] = {}
    for mapping in mappings:
        built = RowBuilder(fields, mapping).build()
        if built is not None:
            rows.setdefault(built.table, []).append(built)
    record_ids = _record_ids(source.file_id, ordinals)
    tables = {name: _table(parts, record_ids) for name, parts in rows.items() if name != "records"}
    tables["records"], dropped = _records(
        rows["records"][0], tokens, mappings, record_ids, ordinals, sets, source
    )
    findings = fields.findings + out_of_order(fields)
    if tokens.continued.any():
        findings.append(
            Finding(
                "hl7v2.segment.continued",
                "",
                "Lines that begin with no segment id were read as part of the segment before.",
                np.flatnonzero(tokens.continued).astype(np.int32),
            )
        )
    if findings:
        tables["rejects"] = _findings(findings, tables["records"], ordinals, offsets)
    tables["records"] = tables["records"].append_column("_byte_offset", pa.array(offsets))
    return RawBatch(tables, n_records=len(ordinals), dropped=dropped)


def _record_ids(file_id: str, ordinals: np.ndarray) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(ordinals).cast(pa.string()), width=8, padding="0")
    return pc.binary_join_element_wise(pa.scalar(file_id[:16]), digits, "-")


def _table(parts: list[Rows], record_ids: pa.Array) -> pa.Table:
    """Return one raw table, its rows numbered within each message by their place in it."""
    message = np.concatenate([p.message for p in parts])
    joined = pa.concat_tables([pa.table({**p.columns}) for p in parts], promote_options="default")
    if len(parts) > 1:
        order = np.argsort(np.concatenate([p.segment for p in parts]), kind="stable")
        message = message[order]
        joined = joined.take(pa.array(order))
    ordinal = _running(message)
    return (
        joined.combine_chunks()
        .add_column(0, "ordinal", pa.array(ordinal, pa.int32()))
        .add_column(0, "record_id", record_ids.take(pa.array(message)))
    )


def _running(message: Ints) -> Ints:
    """Return the position of each row among the rows of its message (rows are in order)."""
    if not len(message):
        return message
    first = np.append(True, message[1:] != message[:-1])
    starts = np.flatnonzero(first)
    return (np.arange(len(message)) - starts[np.cumsum(first) - 1]).astype(np.int32)


def _records(
    rows: Rows,
    tokens: Tokens,
    mappings: tuple[Mapping, ...],
    record_ids: pa.Array,
    ordinals: np.ndarray,
    sets: np.ndarray,
    source: Source,
) -> tuple[pa.Table, Counter[str]]:
    """Return the records table and the count of segments that no mapping names."""
    n = tokens.n_messages
    unmapped = _unmapped(tokens, mappings)
    dropped = Counter(
        {
            public_name(tag_name(code)): int(count)
            for code, count in zip(
                *np.unique(tokens.tags[unmapped], return_counts=True), strict=True
            )
        }
    )
    columns = {
        "record_id": record_ids,
        "file_id": pa.repeat(source.file_id, n),
        "ordinal": pa.array(ordinals, pa.int64()),
        "format": pa.repeat("hl7v2", n),
        "character_set": pa.array(sets, pa.string()),
        "n_segments": pa.array(np.bincount(tokens.message, minlength=n), pa.int32()),
        "n_unmapped": pa.array(np.bincount(tokens.message[unmapped], minlength=n), pa.int32()),
    }
    return pa.table(columns | rows.columns), dropped


def _unmapped(tokens: Tokens, mappings: tuple[Mapping, ...]) -> Bools:
    named = {tag for m in mappings for tag in (m.segment, *m.within, *m.after)} | {"MSH"}
    codes = [tag_code(tag.split()[-1]) for tag in named]
    unmapped: Bools = ~np.isin(tokens.tags, codes)
    return unmapped


def _findings(
    findings: list[Finding], records: pa.Table, ordinals: np.ndarray, offsets: np.ndarray
) -> pa.Table:
    """Return findings as a raw rejects table, one row per rule, place and message."""

    def one(finding: Finding) -> pa.Table:
        messages = np.unique(finding.messages)
        n, index = len(messages), pa.array(messages)
        described = {
            c: records.column(c).take(index) for c in _DESCRIPTIVE if c in records.column_names
        }
        return pa.table(
            {
                "record_ordinal": pa.array(ordinals[messages], pa.int64()),
                "byte_offset": pa.array(offsets[messages], pa.int64()),
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

"""HL7 version 2, every version and message type, read column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from lakehouse.batch import RawBatch, Reject, Source
from lakehouse.formats.hl7v2.encoding.framing import (
    CHUNK,
    MOST_MESSAGES,
    Chunk,
    chunks,
    looks_like_hl7,
)

if TYPE_CHECKING:
    from lakehouse.formats.hl7v2.parse import Part


class HL7v2:
    """The format ``hl7v2``: see ``lakehouse.formats.ManyFilesFormat`` for the contract."""

    name = "hl7v2"
    extensions = (".hl7", ".er7", ".oru", ".adt", ".txt", ".dat", ".msg")
    doc = "HL7 version 2 messages (ER7), one or many in a file, with or without batch headers."
    main_table = "records"

    def sniff(self, head: bytes) -> bool:
        """Return whether the file begins with a message or a batch header."""
        return looks_like_hl7(head)

    def fingerprint(self, stream: BinaryIO, size: int | None) -> bytes | None:
        """Return None: the whole content stands for the file."""
        return None

    def parse(self, stream: BinaryIO, source: Source) -> Iterator[RawBatch]:
        """Yield raw batches of about 8 MiB of messages each."""
        return self.parse_many([(stream, source)])

    def parse_many(self, files: Iterable[tuple[BinaryIO, Source]]) -> Iterator[RawBatch]:
        """Yield raw batches of about 8 MiB of messages each, of one file or of many."""
        pending: list[Part] = []
        size = n_messages = 0
        for stream, source in files:
            for part in _parts(stream, source):
                if isinstance(part, RawBatch):
                    yield part
                    continue
                if size + len(part.chunk.data) > 2 * CHUNK:  # one of them is a large message
                    yield from _parse(pending)
                    pending, size, n_messages = [], 0, 0
                pending.append(part)
                size += len(part.chunk.data)
                n_messages += len(part.chunk.starts)
                if size >= CHUNK or n_messages >= MOST_MESSAGES:
                    yield from _parse(pending)
                    pending, size, n_messages = [], 0, 0
        yield from _parse(pending)


def _parts(stream: BinaryIO, source: Source) -> Iterator[Part | RawBatch]:
    """Yield the chunks of a file, then what is wrong with the file as a whole."""
    # NumPy and Arrow's compute functions load here, so that listing formats stays quick
    from lakehouse.formats.hl7v2.encoding.batches import BatchCounter
    from lakehouse.formats.hl7v2.parse import Part

    ordinal = 0
    counter = BatchCounter()
    for chunk in chunks(stream, cut=source.truncated):
        if chunk.left_out:
            yield _reject(chunk, chunk.left_out, ordinal, source)
        else:
            yield Part(chunk, ordinal, source)
        counter.count(chunk)
        ordinal += len(chunk.starts)
    rejects = counter.findings()
    if not ordinal:
        rule, message = "hl7v2.file.no-message", "Holds no MSH segment."
        rejects.append(Reject(-1, rule, message, "MSH", level="warning"))
    for reject in rejects:
        reject.file_id = source.file_id
    if rejects:
        yield RawBatch({}, rejects)


def _reject(chunk: Chunk, why: tuple[str, str], ordinal: int, source: Source) -> RawBatch:
    reject = Reject(ordinal, *why, byte_offset=chunk.offset, file_id=source.file_id)
    return RawBatch({}, [reject], n_records=1, by_file=Counter({source.file_id: 1}))


def _parse(parts: list[Part]) -> Iterator[RawBatch]:
    """Yield the batches of some chunks; a chunk that defeats the parser is a reject of its own.

    Such a chunk is a fault of this software, not of the sender; its neighbours are stored and
    the reject says which file to keep.
    """
    from lakehouse.formats.hl7v2.parse import parse_parts

    try:
        yield from list(parse_parts(parts))
    except MemoryError:
        raise
    except Exception:
        if len(parts) > 1:
            for part in parts:
                yield from _parse([part])
            return
        (part,) = parts
        n = len(part.chunk.starts)
        rejects = [
            Reject(
                part.first_ordinal + i,
                "hl7v2.unreadable",
                "The parser failed on the messages around this one; please report it.",
                file_id=part.source.file_id,
                byte_offset=int(part.chunk.offsets[i]),
            )
            for i in range(n)
        ]
        batch = RawBatch({}, rejects, n_records=n)
        batch.by_file[part.source.file_id] = n
        yield batch


FORMAT = HL7v2()

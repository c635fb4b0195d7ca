"""HL7 version 2, every version and message type, read column by column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from lakehouse.batch import RawBatch, Reject, Source
from lakehouse.formats.hl7v2.framing import chunks, looks_like_hl7


class HL7v2:
    """The format ``hl7v2``: see ``lakehouse.formats.Format`` for the contract."""

    name = "hl7v2"
    extensions = (".hl7", ".er7", ".oru", ".adt", ".txt", ".dat", ".msg")
    doc = "HL7 version 2 messages (ER7), one or many in a file, with or without batch headers."
    main_table = "observations"

    def sniff(self, head: bytes) -> bool:
        """Return whether the file begins with a message or a batch header."""
        return looks_like_hl7(head)

    def parse(self, stream: BinaryIO, source: Source) -> Iterator[RawBatch]:
        """Yield raw batches of about 4 MiB of messages each."""
        # NumPy and Arrow's compute functions load here, so that listing formats stays quick
        from lakehouse.formats.hl7v2.batches import BatchCounter
        from lakehouse.formats.hl7v2.parse import parse_chunk

        ordinal = 0
        counter = BatchCounter()
        for chunk in chunks(stream):
            yield from parse_chunk(chunk, ordinal, source)
            counter.count(chunk)
            ordinal += len(chunk.starts)
        rejects = counter.findings()
        if ordinal == 0:
            rejects.append(
                Reject(-1, "hl7v2.file.no-message", "Holds no MSH segment.", "MSH", level="warning")
            )
        if rejects:
            yield RawBatch({}, rejects)


FORMAT = HL7v2()

"""Batch files: FHS and BHS headers, and the counts that BTS and FTS promise."""

from __future__ import annotations

import re

import numpy as np

from lakehouse.batch import Reject
from lakehouse.formats.hl7v2.encoding.framing import Chunk

# HL7 v2.9 ch. 2.14.2 (BHS), 2.14.3 (BTS), 2.14.7 (FHS), 2.14.8 (FTS)
_HEADER = re.compile(rb"(?:(?<=[\r\n\x0b\x1c])|\A)(FHS|BHS|BTS|FTS)([^A-Za-z0-9\s])?([^\r\n]*)")


class BatchCounter:
    """Counts messages in batches and batches in the file, chunk by chunk."""

    def __init__(self) -> None:
        self._messages = 0
        self._in_batch: int | None = None
        self._batches = 0
        self._in_file = False
        self._findings: list[Reject] = []

    def count(self, chunk: Chunk) -> None:
        """Take in the next chunk of the file."""
        if _may_hold_headers(chunk.data):
            for header in _HEADER.finditer(chunk.data):
                before = self._messages + int(np.searchsorted(chunk.starts, header.start()))
                place = chunk.in_file(np.array([header.start()]))
                self._header(header, before, int(place[0]))
        self._messages += len(chunk.starts)

    def _header(self, header: re.Match[bytes], messages: int, offset: int) -> None:
        tag, separator, rest = header.groups()
        if tag == b"FHS":
            self._in_file = True
        elif tag == b"BHS":
            self._in_batch = messages
            self._batches += 1
        else:
            stated = rest.split(separator)[0].strip() if separator else b""
            if tag == b"FTS":
                self._compare("FTS", stated, self._batches, "batches in the file", offset)
                self._in_file = False
            else:
                found = messages - (self._in_batch or 0)
                self._compare("BTS", stated, found, "messages in the batch", offset)
                self._in_batch = None

    def _compare(self, tag: str, stated: bytes, found: int, what: str, offset: int) -> None:
        """Note a count that is none, or another (a count may be left out)."""
        if not stated.isdigit():
            if stated:
                self._note(
                    "hl7v2.batch.count-invalid", f"{tag}-1 is not a count.", f"{tag}-1", offset
                )
        elif stated.lstrip(b"0") != str(found or "").encode("ascii"):
            self._note(
                "hl7v2.batch.count", f"{tag}-1 does not equal the {what}.", f"{tag}-1", offset
            )

    def findings(self) -> list[Reject]:
        """Return what did not agree; call it after the last chunk."""
        for unfinished, begins, ends in (
            (self._in_batch is not None, "A batch begins with BHS", "BTS"),
            (self._in_file, "The file begins with FHS", "FTS"),
        ):
            if unfinished:
                text = f"{begins} and has no {ends}: the file may be cut off."
                self._note("hl7v2.batch.unfinished", text, ends)
        return self._findings

    def _note(self, rule: str, text: str, location: str, offset: int | None = None) -> None:
        self._findings.append(Reject(-1, rule, text, location, level="warning", byte_offset=offset))


def _may_hold_headers(data: bytes) -> bool:
    """Return whether a line begins as BHS, BTS or FTS do.

    The bytes behind control characters are looked at all at once: an eighth of what three
    searches cost, and flat where text is full of such letters.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    if data[:1] in (b"B", b"F"):
        return True
    begins = np.flatnonzero(text[:-1] < _BLANK) + 1
    first = text.take(begins)
    return any(data[at : at + 3] in _TAGS for at in begins[(first == _B) | (first == _F)].tolist())


_TAGS = (b"FHS", b"BHS", b"BTS", b"FTS")
_BLANK, _B, _F = b" BF"

"""Shortens over-long fields (embedded documents) of a message while it is read."""

from __future__ import annotations

import re
from typing import TypeAlias

import numpy as np

LONGEST_KEPT = 64 * 2**10
"""Bytes that are left of a field of twice that length or more."""

Gaps: TypeAlias = list[tuple[int, int]]
"""Where something was cut out of a message, in order, and its length."""

# Up to the last byte that is no part of a character of several bytes, in any set: second bytes of
# GB 18030 begin at 0x30, and ISO 2022 leaves ASCII by an escape.
_WHOLE_CHARACTERS = re.compile(rb"[^\x1b]*[\x00-\x1a\x1c-\x2f]")


class Documents:
    """Cuts the over-long fields of one message, which may come in pieces.

    Attributes:
        gaps: What was cut out.
        open: The last field was cut, and its end is not there yet.
    """

    def __init__(self) -> None:
        self.gaps: Gaps = []
        self.open = False
        self._edge = 0  # every field before this is as short as it will be

    def shorten(self, data: bytearray, end: int, *, ended: bool) -> int:
        """Cut the inside out of over-long fields of ``data`` up to ``end``; whole characters only.

        Args:
            data: Begins with the message.
            end: Up to where it is the message's.
            ended: Whether that is all of the message.

        Returns:
            Where ``end`` is now.
        """
        fields = bytes(data[self._edge : end])
        separator = data[3] if data[:3] == b"MSH" else ord("|")
        ends_field = np.zeros(256, dtype=np.uint8)
        ends_field[[separator, ord("\r"), ord("\n")]] = 1
        places = np.flatnonzero(np.frombuffer(fields.translate(ends_field.tobytes()), dtype=bool))
        edges = np.concatenate(([0], places[places > 0], [len(fields)]))
        long = np.diff(edges) >= 2 * LONGEST_KEPT
        long[0] |= self.open
        pieces: list[bytes] = []
        done, length, edge = 0, self._edge, self._edge
        for i in np.flatnonzero(long).tolist():
            first, last = int(edges[i]), int(edges[i + 1])
            edge = length + first - done
            # the separator, and what of the field is sure to end with a character
            head = fields[first + 1 : min(first + LONGEST_KEPT, last)]
            whole = _WHOLE_CHARACTERS.match(head)
            inside = first + 1 + (whole.end() if whole else 0)
            pieces.append(fields[done:inside])
            length += inside - done
            done = max(_before_header(fields, last), inside)
            self.gaps.append((length, done - inside))
        pieces.append(fields[done:])
        data[self._edge : end] = b"".join(pieces)
        end = length + len(pieces[-1])
        self.open = bool(long[-1]) and not ended
        self._edge = edge if self.open else end - int(edges[-1] - edges[-2])
        return end


def _before_header(fields: bytes, end: int) -> int:
    """Return the end of a field without the beginning of a header that may follow it at once."""
    return end - next((n for n in (3, 2, 1) if fields.endswith(b"MSH"[:n], 0, end)), 0)

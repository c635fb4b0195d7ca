"""Segments out of the order that message structures prescribe (``catalog/hl7v2/order.csv``)."""

from __future__ import annotations

from functools import cache

import numpy as np

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.formats.hl7v2.datatypes.fields import Fields, Finding
from lakehouse.formats.hl7v2.encoding.buffers import Ints


@cache
def pairs() -> tuple[tuple[str, str], ...]:
    """Return (segment that comes first, segment that follows) of ``catalog/hl7v2/order.csv``."""
    rows = read_rows(resource("catalog/hl7v2") / "order.csv")
    return tuple((row["first"], row["then"]) for row in rows)


def out_of_order(fields: Fields) -> list[Finding]:
    """Return the messages that hold both segments of a pair and the later one first."""
    findings = []
    for first, then in pairs():
        wrong = _wrong(fields, fields.segments(first), fields.segments(then))
        if len(wrong):
            findings.append(
                Finding("hl7v2.segment.order", then, f"{then} stands before {first}.", wrong)
            )
    return findings


def _wrong(fields: Fields, first: Ints, then: Ints) -> Ints:
    """Return the messages whose first ``then`` stands before their first ``first``."""
    if not len(first) or not len(then):
        return np.zeros(0, dtype=np.int32)
    message = fields.tokens.message
    of_first, at_first = np.unique(message[first], return_index=True)
    of_then, at_then = np.unique(message[then], return_index=True)
    both, a, b = np.intersect1d(of_first, of_then, assume_unique=True, return_indices=True)
    wrong: Ints = both[then[at_then[b]] < first[at_first[a]]].astype(np.int32)
    return wrong

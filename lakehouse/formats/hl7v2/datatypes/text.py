"""Text of fields as Arrow columns: explicit nulls, escape sequences, numbers, code look-ups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrays import map_distinct
from lakehouse.formats.hl7v2.encoding.buffers import Bools, Ints
from lakehouse.formats.hl7v2.encoding.tokens import Delimiters, Ranges, Tokens

_QUOTE = ord('"')


def strings(tokens: Tokens, ranges: Ranges) -> tuple[pa.Array, Bools]:
    """Return the text of each range, and where it is the explicit null ``""``.

    Empty and absent give null; so does the explicit null, which the second array tells apart
    (HL7 v2.9 ch. 2.5.3: ``""`` clears a value, an absent field leaves it as it was).
    """
    if ranges.nowhere:
        return pa.nulls(len(ranges.js), pa.string()), np.zeros(len(ranges.js), dtype=bool)
    start, length = tokens.span(ranges)
    cleared = explicit_null(tokens, start, length)
    if cleared.any():
        length = np.where(cleared, 0, length)
    text = _gather(tokens, start, length)
    if len(tokens.escapes):
        # rows are in the order of the buffer, and escapes are few
        row = np.searchsorted(start, tokens.escapes, side="right") - 1
        row = row[(row >= 0) & (tokens.escapes < (start + length)[row])]
        if len(row):
            holds = np.zeros(len(start), dtype=bool)
            holds[row] = True
            text = _unescape_where(text, holds, tokens.delimiters)
    return text, cleared


def explicit_null(tokens: Tokens, start: Ints, length: Ints) -> Bools:
    """Return which stretches are exactly ``""``."""
    if not tokens.has_null:
        return np.zeros(len(start), dtype=bool)
    buffer = tokens.buffer
    found: Bools = (length == 2) & (buffer[start] == _QUOTE) & (buffer[start + 1] == _QUOTE)
    return found


def _gather(tokens: Tokens, start: Ints, length: Ints) -> pa.Array:
    """Copy stretches of the buffer into one string array; empty ones are null."""
    full = length > 0
    n, present = len(full), int(np.count_nonzero(full))
    if not present:
        return pa.nulls(n, pa.string())
    # Every stretch is the even entry of a string array that lies over the buffer itself, and what
    # is between two stretches the odd one; Arrow then copies whole stretches. From 3 bytes each
    # on this beats an index of every byte, by ten times at 40.
    offsets = np.empty(2 * n + 1, dtype=np.int32)
    offsets[: 2 * n : 2] = start
    np.add(start, length, out=offsets[1 : 2 * n : 2])
    offsets[-1] = offsets[-2]
    over = pa.StringArray.from_buffers(2 * n, pa.py_buffer(offsets), pa.py_buffer(tokens.buffer))
    even = pa.py_buffer(np.arange(0, 2 * n, 2, dtype=np.int32))
    valid = None if present == n else pa.py_buffer(np.packbits(full, bitorder="little"))
    return over.take(pa.Array.from_buffers(pa.int32(), n, [valid, even], n - present))


def look_up(column: pa.Array, table: Mapping[str, str], default: str | None = None) -> pa.Array:
    """Translate codes; upper-case keys; codes that are not listed give the default."""
    return map_distinct(column, lambda v: table.get(v.upper(), default), pa.string())


_NUMBER = re.compile(r"([<>]=?|=)?\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)")


def number_parts(text: str) -> tuple[str | None, float] | None:
    """Return comparator and number of an NM, or None when it is not one that a double holds.

    Examples:
        >>> number_parts("<0.5"), number_parts("+7"), number_parts("7a")
        (('<', 0.5), (None, 7.0), None)
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    comparator, number = match[1] if match[1] != "=" else None, float(match[2])
    return (comparator, number) if isfinite(number) else None


def numbers(column: pa.Array) -> pa.Array:
    """Return NM values as doubles; what is no number gives null (HL7 v2.9 ch. 2A.3.48)."""

    def convert(text: str) -> float | None:
        parts = number_parts(text)
        return parts[1] if parts and parts[0] is None else None

    return map_distinct(column, convert, pa.float64())


_COMMAND = re.compile(r"\.(br|sp|in|ti|sk|ce|fi|nf) ?[+-]?\d{0,3}", re.IGNORECASE)
_BREAKS = {"br": "\n", "sp": "\n", "ce": "\n", "sk": " "}
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")
# Highlighting on and off; a switch of the character set, single- or multi-byte; a site's own
_SILENT = re.compile(r"[HN]|C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4,6}|Z[0-9A-Fa-f]{0,7}")


def unescape(text: str, delimiters: Delimiters) -> str:
    r"""Decode the escape sequences of HL7 v2.9 ch. 2.7.

    What switches highlighting or character set, and local sequences, are left out. Whatever else
    stands between two escape characters is no sequence but text that was not escaped
    (``C:\dir\file``), and stays.

    Args:
        text: Text of one component.
        delimiters: The message's own, which ``\F\``, ``\S\`` and so on stand for.

    Examples:
        >>> unescape(r"A\T\B \X4F4B\ \.br\C", Delimiters())
        'A&B OK \nC'
    """
    escape = chr(delimiters.escape)
    own = {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "P": ord("#"),
        "L": ord("#"),
    }
    out: list[str] = []
    position = 0
    while True:
        opening = text.find(escape, position)
        closing = text.find(escape, opening + 1) if opening >= 0 else -1
        if closing < 0:  # a lone escape character is data
            return "".join(out) + text[position:]
        out.append(text[position:opening])
        sequence = text[opening + 1 : closing]
        if sequence in own:
            out.append(chr(own[sequence]))
        elif command := _COMMAND.fullmatch(sequence):
            out.append(_BREAKS.get(command[1].lower(), ""))
        elif match := _HEX.fullmatch(sequence):
            out.append(_from_hex(match[1]))
        elif not _SILENT.fullmatch(sequence):
            out.append(escape + sequence)
            position = closing  # which may open the next one
            continue
        position = closing + 1


def _from_hex(digits: str) -> str:
    raw = bytes.fromhex(digits)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _unescape_where(text: pa.Array, where: Bools, delimiters: Delimiters) -> pa.Array:
    rows = pa.array(np.flatnonzero(where))
    decoded = map_distinct(pc.take(text, rows), lambda v: unescape(v, delimiters), pa.string())
    return pc.replace_with_mask(text, pa.array(where), decoded)

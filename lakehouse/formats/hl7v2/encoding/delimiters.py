"""The delimiters of each message: MSH-1 and MSH-2 (HL7 v2.9 ch. 2.5.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lakehouse.formats.hl7v2.encoding.buffers import stretches
from lakehouse.formats.hl7v2.encoding.tokens import SEGMENT_ENDS, Delimiters

Places: TypeAlias = npt.NDArray[np.int64]
"""Where messages begin in a buffer."""

STANDARD = Delimiters()
_USUAL = np.frombuffer(b"|^~\\&|", dtype=np.uint8)
_BY_LOOK = {
    ord("^"): "component",
    ord("~"): "repetition",
    ord("\\"): "escape",
    ord("&"): "subcomponent",
}
_ORDER = ("component", "repetition", "escape", "subcomponent")


def delimiters_of(message: bytes) -> Delimiters | None:
    r"""Return the delimiters that a message declares; None if they cannot be used.

    Four characters are read by position, with a doubled escape character taken as one and a
    fifth (truncation, ``#``) passed over. Fewer than four are read by their usual meaning where
    they have one, so that ``^~&`` has no escape character rather than ``&`` for it.

    Examples:
        >>> delimiters_of(b"MSH|^~&|A").escape, delimiters_of(b"MSH$%~/!$A").component
        (0, 37)
        >>> delimiters_of(rb"MSH|^~\\&|A").subcomponent == ord("&")
        True
        >>> delimiters_of(b"MSH|0000|") is None
        True
    """
    field = message[3]
    end = min(
        (p for p in (message.find(bytes([c]), 4) for c in (field, *SEGMENT_ENDS)) if p > 0),
        default=len(message),
    )
    declared = message[4:end].replace(b"\\\\", b"\\")
    if not declared:
        return None
    if len(declared) >= 4 or not any(c in _BY_LOOK for c in declared):
        chosen = dict(zip(_ORDER, declared, strict=False))
    else:
        chosen = {_BY_LOOK[c]: c for c in declared if c in _BY_LOOK}
    used = [field, *chosen.values()]
    if len(set(used)) < len(used) or any(_is_data(c) for c in used):
        return None
    return Delimiters(
        field, **{name: chosen.get(name, 0) for name in _ORDER}, declared=message[4:end]
    )


def _is_data(byte: int) -> bool:
    """Return whether a byte is a letter, a digit, a blank or not ASCII: no delimiter."""
    return byte < 33 or byte > 126 or chr(byte).isalnum()


def group(data: bytes, starts: Places) -> dict[Delimiters | None, np.ndarray]:
    """Return the messages (their positions in ``starts``) by their delimiters.

    Messages under ``None`` declare none that can be used.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    whole = starts <= len(data) - 3 - len(_USUAL)  # the last one may be cut short
    usual = np.zeros(len(starts), dtype=bool)
    usual[whole] = (stretches(text, starts[whole] + 3, len(_USUAL)) == _USUAL).all(axis=1)
    groups: dict[Delimiters | None, list[int]] = {}
    for place in np.flatnonzero(~usual).tolist():
        message = data[starts[place] : starts[place] + 32]
        groups.setdefault(delimiters_of(message), []).append(place)
    found = {k: np.array(v, dtype=np.int64) for k, v in groups.items()}
    if usual.any():
        standard = np.flatnonzero(usual)
        if STANDARD in found:
            standard = np.sort(np.concatenate([standard, found[STANDARD]]))
        found[STANDARD] = standard
    return found


def join(data: bytes, starts: Places, which: Iterable[int]) -> bytes:
    """Return some of the messages, one behind the other."""
    edges = np.append(starts, len(data)).tolist()
    return b"\r".join(data[edges[i] : edges[i + 1]] for i in which)

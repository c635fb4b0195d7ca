"""Types of NumPy arrays over a buffer of text, and two operations that are quicker than NumPy's."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int32]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Bools: TypeAlias = npt.NDArray[np.bool_]


def stretches(buffer: Bytes, start: npt.NDArray[np.integer], width: int) -> Bytes:
    """Return ``width`` bytes from each place of a buffer on, one row each.

    Copied as one value of that width: an eighth of the time of an index for every byte.

    Examples:
        >>> stretches(np.frombuffer(b"MSH|PID|", np.uint8), np.array([0, 4]), 3).tobytes()
        b'MSHPID'
    """
    kind = np.dtype((np.void, width))
    over = np.ndarray(len(buffer) - width + 1, kind, buffer, strides=(1,))
    pieces: Bytes = over[start].view(np.uint8).reshape(len(start), width)
    return pieces


def running_count(here: Bools, where: npt.NDArray[np.intp]) -> Ints:
    """Return how many of some places lie at or before each; none costs no more than its memory."""
    if not len(where):
        return np.zeros(len(here), np.int32)
    if 4 * len(where) > len(here):
        return np.cumsum(here, dtype=np.int32)
    # half the time of adding them up, where there are few
    counts = np.arange(len(where) + 1, dtype=np.int32)
    return np.repeat(counts, np.diff(where, prepend=0, append=len(here)))

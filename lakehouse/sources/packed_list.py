"""``PackedList``: a long list in little memory, for the files and reports of an ingest.

An archive has millions of files. Location, digests and report of a file take 1.3 KB as Python
objects and 0.1 KB packed; packing and unpacking them once takes 6 microseconds.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterable, Iterator
from typing import Generic, TypeVar

import pyarrow as pa

T = TypeVar("T")

RUN = 1_000
"""Items in a run, which is packed and unpacked as one."""

_CODEC = pa.Codec("zstd", 1)


class PackedList(Collection[T], Generic[T]):
    """An append-only list that compresses its items in runs and iterates over them in order.

    A run identifies a person as much as the items in it do. So a list of files never leaves the
    process (``encryption`` sends them), but a list of reports may.

    Examples:
        >>> numbers = PackedList(range(2_500))
        >>> numbers.append(7)
        >>> len(numbers), sum(numbers) == sum(range(2_500)) + 7
        (2501, True)
    """

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._runs: list[tuple[int, bytes]] = []
        self._last: list[T] = []
        self.extend(items)

    def append(self, item: T) -> None:
        """Add an item at the end."""
        self._last.append(item)
        if len(self._last) == RUN:
            data = pickle.dumps(self._last, pickle.HIGHEST_PROTOCOL)
            self._runs.append((len(data), _CODEC.compress(data, asbytes=True)))
            self._last = []

    def extend(self, items: Iterable[T]) -> None:
        """Add items at the end."""
        for item in items:
            self.append(item)

    def __len__(self) -> int:
        return RUN * len(self._runs) + len(self._last)

    def __iter__(self) -> Iterator[T]:
        for size, run in self._runs:
            yield from pickle.loads(_CODEC.decompress(run, size))  # noqa: S301 - packed above
        yield from self._last

    def __contains__(self, item: object) -> bool:
        return any(item == other for other in self)

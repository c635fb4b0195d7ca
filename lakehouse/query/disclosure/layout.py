"""The lines of a grouped result: cells that differ in one key, and the row with their total."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """Cells that differ in one key, and the cell with their total when the result has it."""

    cells: tuple[int, ...]
    total: int | None

    @property
    def members(self) -> tuple[int, ...]:
        """The cells, and the one with their total."""
        return self.cells if self.total is None else (*self.cells, self.total)


@dataclass(frozen=True)
class Layout:
    """All lines of a result."""

    lines: tuple[Line, ...]

    @classmethod
    def of(cls, keys: Sequence[tuple[Any, ...]], rolled: Sequence[int]) -> Layout:
        """Return the layout of a result.

        Args:
            keys: Key values of each row.
            rolled: Bit mask of the keys that are rolled up in a row, the first key the highest.

        Examples:
            >>> Layout.of([("a",), ("b",), (None,)], [0, 0, 1]).lines
            (Line(cells=(0, 1), total=2),)
        """
        cells_of_line: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
        row_at = {(mask, key): i for i, (key, mask) in enumerate(zip(keys, rolled, strict=True))}
        for i, (key, mask) in enumerate(zip(keys, rolled, strict=True)):
            for position in range(len(key)):
                bit = 1 << (len(key) - 1 - position)
                if not mask & bit:
                    above = (*key[:position], None, *key[position + 1 :])
                    cells_of_line[position, mask | bit, above].append(i)
        return cls(
            tuple(Line(tuple(cells), row_at.get(at[1:])) for at, cells in cells_of_line.items())
        )

    def has_shared_keys(self, counts: Sequence[int], minimum: int) -> list[bool]:
        """Return for each cell whether each of its lines has at least ``minimum`` patients."""
        shared = [True] * len(counts)
        for line in self.lines:
            if sum(counts[i] for i in line.cells) < minimum:
                for i in line.cells:
                    shared[i] = False
        return shared

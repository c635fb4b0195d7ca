"""Which hidden cells the totals of a result reveal, by linear equations and by bounds.

Each line of the layout is an equation: its cells add up to its total. A hidden cell is revealed
when the equations have one solution for it, or when its lower and upper bound meet. The equations
are solved over a prime field, where arithmetic is exact and fast.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lakehouse.query.disclosure.layout import Layout

_PRIME = 2**61 - 1

_ROUNDS = 20
"""Most rounds in which bounds tighten each other."""


def derivable_cells(
    layout: Layout, counts: Sequence[int], minimum: int, blank: set[int]
) -> set[int]:
    """Return the hidden cells that all totals together reveal."""
    rows: list[dict[int, int]] = []
    sums: list[int] = []
    for line in layout.lines:
        if line.total is None and sum(counts[i] for i in line.cells) < minimum:
            continue  # a result with this total would hide it
        row = {i: 1 for i in line.cells if i in blank}
        if line.total is not None and line.total in blank:
            row[line.total] = -1
        if row:
            rows.append(row)
            sums.append(sum(factor * counts[i] for i, factor in row.items()))
    by_equations = {next(iter(row)) for row in _reduce(rows) if len(row) == 1}
    return by_equations | _tighten_bounds(rows, sums, sum(counts))


def _tighten_bounds(rows: Sequence[dict[int, int]], sums: Sequence[int], most: int) -> set[int]:
    """Return the cells whose bounds meet; each row of the result has at least one patient."""
    low: dict[int, int] = {i: 1 for row in rows for i in row}
    high = dict.fromkeys(low, most)
    for _ in range(_ROUNDS):
        before = (dict(low), dict(high))
        for row, total in zip(rows, sums, strict=True):
            least = sum(low[i] if factor > 0 else -high[i] for i, factor in row.items())
            greatest = sum(high[i] if factor > 0 else -low[i] for i, factor in row.items())
            bounds = {}
            for i, factor in row.items():
                if factor > 0:
                    ends = total - greatest + high[i], total - least + low[i]
                else:
                    ends = least + high[i] - total, greatest + low[i] - total
                bounds[i] = max(low[i], ends[0]), min(high[i], ends[1])
            for i, (lower, upper) in bounds.items():
                low[i], high[i] = lower, upper
        if (low, high) == before:
            break
    return {i for i in low if low[i] == high[i]}


def _reduce(rows: list[dict[int, int]]) -> list[dict[int, int]]:
    """Return the reduced echelon form of sparse rows."""
    pivots: dict[int, dict[int, int]] = {}
    using: defaultdict[int, set[int]] = defaultdict(set)
    """Pivots whose row has an entry in a column."""
    for equation in rows:
        row = dict(equation)
        for column in list(equation):
            if column in pivots and column in row:
                _subtract(row, pivots[column], row[column])
        if not row:
            continue
        pivot = next(iter(row))
        inverse = pow(row[pivot], -1, _PRIME)
        row = {c: v * inverse % _PRIME for c, v in row.items()}
        for other in list(using[pivot]):
            before = set(pivots[other])
            _subtract(pivots[other], row, pivots[other][pivot])
            for c in before - pivots[other].keys():
                using[c].discard(other)
            for c in pivots[other].keys() - before:
                using[c].add(other)
        pivots[pivot] = row
        for c in row:
            using[c].add(pivot)
    return list(pivots.values())


def _subtract(row: dict[int, int], other: dict[int, int], times: int) -> None:
    for column, value in other.items():
        left = (row.get(column, 0) - times * value) % _PRIME
        if left:
            row[column] = left
        else:
            row.pop(column, None)

"""What of a grouped result is blanked: small cells, and what would give them back.

A *cell* is a row of the result with the number of patients behind it. A *line* is the cells that
differ in one key only; its total is the row in which that key is rolled up, or, where the result
has none, what a query with one key fewer would say. So each line is an equation, and three things
are made sure of, for every figure by itself:

- a cell of 1 to ``minimum - 1`` patients is hidden;
- in each line, what is hidden besides a small cell holds at least ``minimum`` patients more, as
  long as the line has something left to hide: the total less what is shown tells nothing small;
- no small cell follows from all equations together. They are solved, over a prime field, and
  while a small cell has one solution only, a further cell of those it hangs on is hidden.

Small and further cells bear one label: told apart, they would be narrowed down.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import QueryError
from lakehouse.query.disclosure.eligible import COUNT, KEPT, LEVEL

if TYPE_CHECKING:
    from lakehouse.query.disclosure.plan import Plan

SUPPRESSED = "suppressed"
"""Column that says what of a row is blanked: ``small``, all of it, or the names of figures."""

FEW_VALUES = 3
"""A mean over two or three distinct values gives away how many patients have each."""

MOST_HIDDEN = 2000
"""Hidden cells of a result with several keys that are still solved for."""

_PRIME = 2**61 - 1

_ROUNDS = 20
"""How often bounds are narrowed by each other."""


def suppress(rows: pa.Table, how: Plan, minimum: int) -> pa.Table:
    """Return the rows with small cells blanked, and a column that says where.

    Args:
        rows: The result of ``how.sql``.
        how: The plan.
        minimum: Least number of patients of a cell that is shown.

    Raises:
        QueryError: There are too many small cells to be sure of.
    """
    counts = _counts(rows, COUNT)
    keys = list(zip(*(rows.column(k).to_pylist() for k in how.keys), strict=True))
    keys = keys or [()] * len(counts)
    layout = Layout.of(keys, _counts(rows, LEVEL) or [0] * len(counts))
    whole = cells_to_hide(layout, counts, minimum)
    masks: dict[str, set[int]] = {}
    for figure in how.figures:
        behind = _counts(rows, figure.behind)
        few = {
            i
            for i, (n, all_) in enumerate(zip(behind, counts, strict=True))
            if 0 < n < minimum or (figure.whole and 0 < all_ - n < minimum)
        }
        if figure.values:
            values = _counts(rows, figure.values)
            few |= {i for i, n in enumerate(values) if 1 < n <= FEW_VALUES}
        blank = cells_to_hide(layout, behind, minimum, small=few, already=whole) if few else whole
        for name in figure.names:
            masks[name] = masks.get(name, set()) | blank
    return _blanked(rows, how, masks, whole, _listed(rows, how, layout, counts, whole, minimum))


def _counts(rows: pa.Table, name: str) -> list[int]:
    if name not in rows.column_names:
        return []
    return [int(n or 0) for n in rows.column(name).to_pylist()]


def _listed(
    rows: pa.Table,
    how: Plan,
    layout: Layout,
    counts: Sequence[int],
    whole: set[int],
    minimum: int,
) -> list[int]:
    """Return the rows to show; a blank one only while its keys tell of no single patient."""
    kinds = [rows.schema.field(k).type for k in how.keys]
    words = all(pa.types.is_string(k) or pa.types.is_boolean(k) for k in kinds)
    shared = layout.shared(counts, minimum)
    kept = rows.column(KEPT).to_pylist() if KEPT in rows.column_names else [True] * len(counts)
    return [i for i in range(len(counts)) if kept[i] and (i not in whole or (words and shared[i]))]


def _blanked(
    rows: pa.Table, how: Plan, masks: dict[str, set[int]], whole: set[int], listed: list[int]
) -> pa.Table:
    """Return the rows listed, blanked, sorted and cut; rows that are all blank come last."""
    taken = rows.take(pa.array(listed, pa.int64()))
    columns = {}
    for name in how.shown:
        column = taken.column(name)
        if name in masks:
            mask = pa.array([i in masks[name] for i in listed], pa.bool_())
            column = pc.if_else(mask, pa.scalar(None, column.type), column)
        columns[name] = column
    said = [
        "small" if i in whole else ", ".join(n for n in how.shown if i in masks.get(n, ())) or None
        for i in listed
    ]
    columns[SUPPRESSED] = pa.array(said, pa.string())
    places = list(range(len(listed)))
    for name, falls in reversed(how.order):
        values = columns[name].to_pylist()
        there = [p for p in places if values[p] is not None]
        there.sort(key=values.__getitem__, reverse=falls)
        places = there + [p for p in places if values[p] is None]
    places.sort(key=lambda p: listed[p] in whole)
    places = places[how.offset :][: how.limit]
    return pa.table(columns).take(pa.array(places, pa.int64()))


@dataclass(frozen=True)
class Line:
    """Cells that differ in one key, and the cell with their total when the result has it."""

    cells: tuple[int, ...]
    total: int | None


@dataclass(frozen=True)
class Layout:
    """The lines of a result."""

    lines: tuple[Line, ...]

    @classmethod
    def of(cls, keys: Sequence[tuple[Any, ...]], rolled: Sequence[int]) -> Layout:
        """Find the lines.

        Args:
            keys: Key values of each row.
            rolled: Bit mask of the keys that are rolled up in a row, the first key the highest.

        Examples:
            >>> Layout.of([("a",), ("b",), (None,)], [0, 0, 1]).lines
            (Line(cells=(0, 1), total=2),)
        """
        found: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
        where = {(mask, key): i for i, (key, mask) in enumerate(zip(keys, rolled, strict=True))}
        for i, (key, mask) in enumerate(zip(keys, rolled, strict=True)):
            for position in range(len(key)):
                bit = 1 << (len(key) - 1 - position)
                if not mask & bit:
                    above = (*key[:position], None, *key[position + 1 :])
                    found[position, mask | bit, above].append(i)
        return cls(tuple(Line(tuple(cells), where.get(at[1:])) for at, cells in found.items()))

    def shared(self, counts: Sequence[int], minimum: int) -> list[bool]:
        """Return whether each cell's keys are shared: without any one of them enough remain."""
        fine = [True] * len(counts)
        for line in self.lines:
            if sum(counts[i] for i in line.cells) < minimum:
                for i in line.cells:
                    fine[i] = False
        return fine


def cells_to_hide(
    layout: Layout,
    counts: Sequence[int],
    minimum: int,
    *,
    small: Iterable[int] = (),
    already: Iterable[int] = (),
) -> set[int]:
    """Return the cells to hide.

    Args:
        layout: The lines of the result.
        counts: Patients of each cell.
        minimum: Least number of patients of a cell that is shown.
        small: Cells to protect besides those with a small count.
        already: Cells that are hidden in any case.

    Raises:
        QueryError: There are too many small cells to be sure of.

    Examples:
        >>> sorted(hidden(Layout.of([("a",), ("b",), ("c",)], [0] * 3), [5, 40, 20], 11))
        [0, 2]
    """
    guarded = {i for i, n in enumerate(counts) if 0 < n < minimum} | set(small)
    blank = guarded | set(already)
    if not guarded:
        return blank
    several = len(layout.lines) > 1
    told: set[int] = set()
    while True:
        before = len(blank)
        for line in layout.lines:
            _fill(line, layout, counts, minimum, guarded, blank, told)
        if several and len(blank) > MOST_HIDDEN:
            raise QueryError(
                "Too many groups are too small to be sure that nothing gives them back.",
                "Group by fewer or wider keys.",
            )
        seen, told = told, _derivable(layout, counts, minimum, blank)
        for cell in told & guarded:
            _hide_companion(cell, layout, counts, blank)
        if len(blank) == before and told == seen:
            return blank


def _fill(
    line: Line,
    layout: Layout,
    counts: Sequence[int],
    minimum: int,
    guarded: set[int],
    blank: set[int],
    told: set[int],
) -> None:
    """Hide more in a line until what is hidden besides its small cells is large enough.

    A hidden cell that can be told hides nothing: first a companion is hidden for it elsewhere.
    """
    largest = max((counts[i] for i in line.cells if i in guarded), default=None)
    if largest is None:
        return
    held = sum(counts[i] for i in line.cells if i in blank and i not in told)
    if held < largest + minimum:
        hollow = [i for i in line.cells if i in told and i in blank]
        if any(_hide_companion(i, layout, counts, blank, line) for i in hollow):
            return
    for count, i in sorted((counts[i], i) for i in line.cells if i not in blank and counts[i]):
        if held >= largest + minimum:
            return
        blank.add(i)
        held += count


def _hide_companion(
    cell: int,
    layout: Layout,
    counts: Sequence[int],
    blank: set[int],
    without: Line | None = None,
) -> bool:
    """Hide the smallest open cell that a told cell hangs on, near before far; tell if there is."""
    chain, lines = {cell}, [line for line in layout.lines if line is not without]
    while True:
        on = [m for m in map(_members, lines) if chain & set(m)]
        left = [(counts[i], i) for m in on for i in m if i not in blank and counts[i]]
        if left:
            blank.add(min(left)[1])
            return True
        wider = chain | {i for m in on for i in m if i in blank}
        if wider == chain:
            return False
        chain = wider


def _members(line: Line) -> tuple[int, ...]:
    return line.cells if line.total is None else (*line.cells, line.total)


def _derivable(layout: Layout, counts: Sequence[int], minimum: int, blank: set[int]) -> set[int]:
    """Return the hidden cells that all totals together tell: by the equations, or by bounds."""
    rows: list[dict[int, int]] = []
    known: list[int] = []
    for line in layout.lines:
        if line.total is None and sum(counts[i] for i in line.cells) < minimum:
            continue  # that total would be hidden itself
        row = {i: 1 for i in line.cells if i in blank}
        if line.total is not None and line.total in blank:
            row[line.total] = -1
        if row:
            rows.append(row)
            known.append(sum(factor * counts[i] for i, factor in row.items()))
    by_equations = {next(iter(row)) for row in _reduced(rows) if len(row) == 1}
    return by_equations | _tighten_bounds(rows, known, sum(counts))


def _tighten_bounds(rows: Sequence[dict[int, int]], known: Sequence[int], most: int) -> set[int]:
    """Return the cells whose bounds meet; a row that is there has a patient at least."""
    low: dict[int, int] = {i: 1 for row in rows for i in row}
    high = dict.fromkeys(low, most)
    for _ in range(_ROUNDS):
        before = (dict(low), dict(high))
        for row, total in zip(rows, known, strict=True):
            least = sum(low[i] if factor > 0 else -high[i] for i, factor in row.items())
            greatest = sum(high[i] if factor > 0 else -low[i] for i, factor in row.items())
            narrowed = {}
            for i, factor in row.items():
                if factor > 0:
                    ends = total - greatest + high[i], total - least + low[i]
                else:
                    ends = least + high[i] - total, greatest + low[i] - total
                narrowed[i] = max(low[i], ends[0]), min(high[i], ends[1])
            for i, (lower, upper) in narrowed.items():
                low[i], high[i] = lower, upper
        if (low, high) == before:
            break
    return {i for i in low if low[i] == high[i]}


def _reduced(rows: list[dict[int, int]]) -> list[dict[int, int]]:
    """Return the reduced echelon form of sparse rows."""
    pivots: dict[int, dict[int, int]] = {}
    using: defaultdict[int, set[int]] = defaultdict(set)
    """Pivots whose row has an entry in a column."""
    for given in rows:
        row = dict(given)
        for column in list(given):
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

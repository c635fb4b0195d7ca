"""Hides the small cells of a grouped result, and the cells that would reveal them.

A *cell* is a row of the result with the number of patients behind it. A *line* is the cells that
differ in one key only (see ``layout``). Its total is the row in which that key is rolled up, or the
result of a query with one key fewer. So each line is an equation, and for every measure three
conditions hold:

- a cell of 1 to ``minimum - 1`` patients is hidden;
- in each line, the cells hidden besides a small one have at least ``minimum`` patients, as long as
  the line has cells left to hide, so that the total less the visible cells is never small;
- no small cell follows from all equations together (see ``solver``). While one does, a further
  cell of its equations is hidden (complementary suppression).

Small cells and cells hidden for their sake have one label, because the difference would narrow the
small ones down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import QueryError
from lakehouse.query.disclosure.eligible import COUNT, LEVEL, PASSES_WHERE
from lakehouse.query.disclosure.layout import Layout, Line
from lakehouse.query.disclosure.solver import derivable_cells

if TYPE_CHECKING:
    from lakehouse.query.disclosure.plan import Plan

SUPPRESSED = "suppressed"
"""Column with what is blanked in a row: ``small`` for all of it, or the names of measures."""

FEW_VALUES = 3
"""A mean over two or three distinct values reveals how many patients have each."""

MAX_HIDDEN = 2000
"""Most hidden cells of a result with several keys; the solver would take too long for more."""


def suppress(rows: pa.Table, plan: Plan, minimum: int) -> pa.Table:
    """Return the rows with small cells blanked, and a column that names the blanked measures.

    Args:
        rows: The result of ``plan.sql``.
        plan: The plan.
        minimum: Fewest patients of a visible cell.

    Raises:
        QueryError: The result has too many small cells to solve for.
    """
    counts = _counts(rows, COUNT)
    keys = list(zip(*(rows.column(k).to_pylist() for k in plan.keys), strict=True))
    keys = keys or [()] * len(counts)
    layout = Layout.of(keys, _counts(rows, LEVEL) or [0] * len(counts))
    blank_rows = cells_to_hide(layout, counts, minimum)
    masks: dict[str, set[int]] = {}
    for measure in plan.measures:
        behind = _counts(rows, measure.count_column)
        few = {
            i
            for i, (n, all_) in enumerate(zip(behind, counts, strict=True))
            if 0 < n < minimum or (measure.has_complement and 0 < all_ - n < minimum)
        }
        if measure.values_column:
            values = _counts(rows, measure.values_column)
            few |= {i for i, n in enumerate(values) if 1 < n <= FEW_VALUES}
        blank = (
            cells_to_hide(layout, behind, minimum, small=few, already=blank_rows)
            if few
            else blank_rows
        )
        for name in measure.names:
            masks[name] = masks.get(name, set()) | blank
    return _blank_rows(
        rows,
        plan,
        masks,
        blank_rows,
        _rows_to_show(rows, plan, layout, counts, blank_rows, minimum),
    )


def _counts(rows: pa.Table, name: str) -> list[int]:
    if name not in rows.column_names:
        return []
    return [int(n or 0) for n in rows.column(name).to_pylist()]


def _rows_to_show(
    rows: pa.Table,
    plan: Plan,
    layout: Layout,
    counts: Sequence[int],
    blank_rows: set[int],
    minimum: int,
) -> list[int]:
    """Return the rows to show; a blank row only where its keys describe no single patient."""
    kinds = [rows.schema.field(k).type for k in plan.keys]
    are_words = all(pa.types.is_string(k) or pa.types.is_boolean(k) for k in kinds)
    shared = layout.has_shared_keys(counts, minimum)
    passes = (
        rows.column(PASSES_WHERE).to_pylist()
        if PASSES_WHERE in rows.column_names
        else [True] * len(counts)
    )
    return [
        i
        for i in range(len(counts))
        if passes[i] and (i not in blank_rows or (are_words and shared[i]))
    ]


def _blank_rows(
    rows: pa.Table, plan: Plan, masks: dict[str, set[int]], blank_rows: set[int], to_show: list[int]
) -> pa.Table:
    """Return the visible rows with masks, order and limit applied; blank rows come last."""
    rows_shown = rows.take(pa.array(to_show, pa.int64()))
    columns = {}
    for name in plan.shown:
        column = rows_shown.column(name)
        if name in masks:
            mask = pa.array([i in masks[name] for i in to_show], pa.bool_())
            column = pc.if_else(mask, pa.scalar(None, column.type), column)
        columns[name] = column
    labels = [
        "small"
        if i in blank_rows
        else ", ".join(n for n in plan.shown if i in masks.get(n, ())) or None
        for i in to_show
    ]
    columns[SUPPRESSED] = pa.array(labels, pa.string())
    positions = list(range(len(to_show)))
    for name, descending in reversed(plan.order):
        values = columns[name].to_pylist()
        filled = [p for p in positions if values[p] is not None]
        filled.sort(key=values.__getitem__, reverse=descending)
        positions = filled + [p for p in positions if values[p] is None]
    positions.sort(key=lambda p: to_show[p] in blank_rows)
    positions = positions[plan.offset :][: plan.limit]
    return pa.table(columns).take(pa.array(positions, pa.int64()))


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
        minimum: Fewest patients of a visible cell.
        small: Cells to protect besides those with a small count.
        already: Cells that are hidden in any case.

    Raises:
        QueryError: The result has too many small cells to solve for.

    Examples:
        >>> layout = Layout.of([("a",), ("b",), ("c",)], [0] * 3)
        >>> sorted(cells_to_hide(layout, [5, 40, 20], 11))
        [0, 2]
    """
    protected = {i for i, n in enumerate(counts) if 0 < n < minimum} | set(small)
    blank = protected | set(already)
    if not protected:
        return blank
    several = len(layout.lines) > 1
    derivable: set[int] = set()
    while True:
        before = len(blank)
        for line in layout.lines:
            _hide_more(line, layout, counts, minimum, protected, blank, derivable)
        if several and len(blank) > MAX_HIDDEN:
            raise QueryError(
                "Too many groups are too small to be sure that nothing gives them back.",
                "Group by fewer or wider keys.",
            )
        before_derivable, derivable = derivable, derivable_cells(layout, counts, minimum, blank)
        for cell in derivable & protected:
            _hide_companion(cell, layout, counts, blank)
        if len(blank) == before and derivable == before_derivable:
            return blank


def _hide_more(
    line: Line,
    layout: Layout,
    counts: Sequence[int],
    minimum: int,
    protected: set[int],
    blank: set[int],
    derivable: set[int],
) -> None:
    """Hide cells of a line until enough patients are hidden besides its small cells.

    A hidden cell that the equations reveal protects nothing, so a companion of it is hidden first.
    """
    largest = max((counts[i] for i in line.cells if i in protected), default=None)
    if largest is None:
        return
    hidden_patients = sum(counts[i] for i in line.cells if i in blank and i not in derivable)
    if hidden_patients < largest + minimum:
        revealed = [i for i in line.cells if i in derivable and i in blank]
        if any(_hide_companion(i, layout, counts, blank, line) for i in revealed):
            return
    for count, i in sorted((counts[i], i) for i in line.cells if i not in blank and counts[i]):
        if hidden_patients >= largest + minimum:
            return
        blank.add(i)
        hidden_patients += count


def _hide_companion(
    cell: int,
    layout: Layout,
    counts: Sequence[int],
    blank: set[int],
    without: Line | None = None,
) -> bool:
    """Hide the smallest visible cell whose equation reveals ``cell``, nearest line first.

    Returns:
        Whether there was one.
    """
    chain, lines = {cell}, [line for line in layout.lines if line is not without]
    while True:
        equations = [line.members for line in lines if chain & set(line.members)]
        candidates = [(counts[i], i) for m in equations for i in m if i not in blank and counts[i]]
        if candidates:
            blank.add(min(candidates)[1])
            return True
        wider = chain | {i for m in equations for i in m if i in blank}
        if wider == chain:
            return False
        chain = wider

"""Given/expect cases of the views: tests/data/views/<view>/<case>.toml, found by folder.

A case has ``doc``; ``[given]`` with rows per table, view or ``codes.<stem>`` (quoted); any number
of ``[[expect]]`` rows, each of which must match one row of the result (a different one each) in
the columns it lists; ``[[absent]]`` rows, which must match none; ``rows = N``, the exact number
of rows (``rows = 0`` where none is expected); ``profile``; ``[parameters]`` of a table macro.
TOML has no null: ``"<null>"`` stands for it.
"""

from __future__ import annotations

import math
import re
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.query.views.evaluate import evaluate_view
from lakehouse.query.views.library import load_views

CASES = Path(__file__).parents[1] / "data" / "views"
KEYS = {"doc", "given", "expect", "absent", "rows", "profile", "parameters"}
TOLERANCE = 1e-4
"""Relative; published values carry at least this many digits."""

VIEWS = load_views()
POINTS = re.compile(r"_points?(_scale_\d)?$")

paths = sorted(CASES.glob("*/*.toml"))


def same(found: Any, listed: Any) -> bool:
    """Return whether a value of the result is the one that a case lists."""
    if isinstance(listed, str) and listed == "<null>":
        return found is None
    if isinstance(listed, bool) or isinstance(found, bool):
        return found is listed
    if isinstance(listed, (int, float)) and isinstance(found, (int, float)):
        return math.isclose(found, listed, rel_tol=TOLERANCE, abs_tol=1e-9)
    if isinstance(found, datetime) and isinstance(listed, date):
        if not isinstance(listed, datetime):
            listed = datetime(listed.year, listed.month, listed.day)
        return found == (listed if listed.tzinfo else listed.replace(tzinfo=UTC))
    return bool(found == listed)


def matches(row: dict[str, Any], listed: dict[str, Any]) -> bool:
    """Return whether a row of the result matches in every column that a case lists."""
    return all(same(row[column], value) for column, value in listed.items())


def without_null(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if v != "<null>"} for row in rows]


def pair(
    expected: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Pair expected with found rows one to one; return what is left over on both sides.

    Rows that list more columns choose first, so that a vague row does not take a precise one's.
    """
    left = list(rows)
    unmet = []
    for listed in sorted(expected, key=len, reverse=True):
        hit = next((i for i, row in enumerate(left) if matches(row, listed)), None)
        if hit is None:
            unmet.append(listed)
        else:
            left.pop(hit)
    return unmet, left


def guesses(view: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a risk score that tell more than their inputs do.

    Where no point is known there is no score; where some are missing, a score is shown only by a
    view whose description says that it is a lower bound.
    """
    if VIEWS[view].topic != "risk":
        return []
    says_so = "lower bound" in VIEWS[view].description
    scored = [row for row in rows if row.get("score") is not None]
    return [
        row
        for row in scored
        if (row.get("n_missing", 0) > 0 and not says_so)
        or {value for column, value in row.items() if POINTS.search(column)} == {None}
    ]


def show(rows: list[dict[str, Any]], columns: set[str]) -> str:
    return "\n".join(f"  { ({k: v for k, v in row.items() if k in columns}) }" for row in rows)


@pytest.mark.parametrize("path", paths, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_case(path: Path) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    assert case.keys() <= KEYS, f"unknown keys: {case.keys() - KEYS}"
    assert case.get("doc"), "a case says in `doc` what it shows"
    expected, absent = case.get("expect", []), case.get("absent", [])
    assert expected or absent or "rows" in case, "a case expects something"

    found = evaluate_view(
        path.parent.name,
        {name: without_null(rows) for name, rows in case.get("given", {}).items()},
        profile=case.get("profile", "limited"),
        parameters={k: None if v == "<null>" else v for k, v in case.get("parameters", {}).items()},
    )
    rows = found.to_pylist()
    assert not (bold := guesses(path.parent.name, rows)), f"never guess: {bold}"

    listed = {column for row in [*expected, *absent] for column in row}
    assert listed <= set(found.column_names), f"no such column: {listed - set(found.column_names)}"
    unmet, left = pair(expected, rows)
    assert not unmet, f"no row for\n{show(unmet, listed)}\nin\n{show(left, listed)}"
    for row in absent:
        assert not any(matches(r, row) for r in rows), f"should not be there: {row}"
    if "rows" in case:
        assert len(rows) == case["rows"], show(rows, listed)

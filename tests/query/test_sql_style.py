"""What the text of a view keeps to, so that the library reads as of one hand."""

from __future__ import annotations

import re

import pytest

from lakehouse.definitions.resources import resource
from lakehouse.query.views.library import load_views
from lakehouse.query.views.view import View

VIEWS = load_views()
every_view = pytest.mark.parametrize("name", sorted(VIEWS))

SENTENCE = re.compile(r"[.!?](?=\s+[A-Z]|\s*$)")
CAPITAL = re.compile(r"(?!Charlson|Elixhauser|Glasgow|Monday|PaO2|Quan)[A-Z][a-z]")
CTE = re.compile(r"^(?:WITH )?(\w+) AS \($", re.MULTILINE)

DEEDS = {
    "believed", "compared", "computed", "counted", "diagnosed", "estimated", "found", "judged",
    "kept", "measured", "scored", "summed",
}  # fmt: skip
"""What was done to rows, where a name says what a row is: totals, scores, measurements."""

MAX_LINES = 150
WHY_LONG = "-- Not cut into concept views:"


def text(view: View) -> str:
    """Return the file of a view."""
    return (resource("sql") / view.where).read_text(encoding="utf-8")


@every_view
def test_a_description_has_at_most_three_sentences(name: str) -> None:
    """A longer rule stands in a comment above the SELECT."""
    assert len(SENTENCE.findall(VIEWS[name].description)) <= 3


@every_view
def test_column_docs_begin_in_lower_case(name: str) -> None:
    """Abbreviations and names keep their capitals."""
    loud = {c: doc for c, doc in VIEWS[name].docs.items() if CAPITAL.match(doc)}
    assert not loud


@every_view
def test_ctes_are_named_by_what_a_row_is(name: str) -> None:
    assert not DEEDS.intersection(CTE.findall(VIEWS[name].sql))


@every_view
def test_a_long_view_says_why_it_is_not_cut(name: str) -> None:
    written = text(VIEWS[name])
    assert len(written.splitlines()) <= MAX_LINES or WHY_LONG in written


def test_the_rules_are_met_by_what_breaks_them() -> None:
    assert len(SENTENCE.findall("One of 0.5 mg. Two (Table 3)? Three! Four.")) == 4
    assert CAPITAL.match("Pseudonym of the patient") and not CAPITAL.match("MELD score")
    assert not CAPITAL.match("Glasgow Coma Scale")
    assert CTE.findall("WITH counted AS (\n),\n\nscores AS (\n") == ["counted", "scores"]

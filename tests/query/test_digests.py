"""scripts/digests: two lines differ when rows do, whatever order the rows come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakehouse.query.lakehouse import Lakehouse

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return __import__("digests")


def test_a_digest_does_not_depend_on_the_order_of_rows(digests: Any, lake: Lakehouse) -> None:
    rows = "SELECT code, value_number FROM observations ORDER BY value_number"
    assert digests.digest(lake, f"({rows})") == digests.digest(lake, f"({rows} DESC)")


@pytest.mark.parametrize(
    "other",
    [
        "SELECT a, b FROM (VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, 'y')) AS t (a, b)",
        "SELECT a, b FROM (VALUES (1, 'x'), (2, 'z')) AS t (a, b)",
        "SELECT a, b FROM (VALUES (1, 'x'), (2, NULL)) AS t (a, b)",
        "SELECT a, b AS c FROM (VALUES (1, 'x'), (2, 'y')) AS t (a, b)",
        "SELECT a::BIGINT AS a, b FROM (VALUES (1, 'x'), (2, 'y')) AS t (a, b)",
        "SELECT b, a FROM (VALUES (1, 'x'), (2, 'y')) AS t (a, b)",
    ],
)
def test_a_digest_depends_on_rows_and_columns(digests: Any, lake: Lakehouse, other: str) -> None:
    rows = "SELECT a, b FROM (VALUES (1, 'x'), (2, 'y')) AS t (a, b)"
    assert digests.digest(lake, f"({rows})") != digests.digest(lake, f"({other})")


def test_changed_and_missing_views_are_told(digests: Any) -> None:
    before = digests.by_view("limited egfr 3 abc\nlimited news2 2 def\nlimited mews 1 ghi\n")
    after = digests.by_view("limited egfr 3 abd\nlimited news2 2 def\nlimited added 1 x\n")
    assert digests.differences(before, after) == [
        "limited egfr: was 3 abc, is 3 abd",
        "limited mews: was 1 ghi, is gone",
    ]

"""How rows look on a terminal and in a pipe."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.commands import Lakehouse, launched, on_a_terminal


def test_wide_rows_stay_readable_on_a_terminal(filled: Lakehouse, tmp_path: Path) -> None:
    """Columns in the middle are left out and counted; a few rows stand one below the other."""
    query = "SELECT p.* FROM patients AS p, range(9)"
    narrow = on_a_terminal(["sql", query], tmp_path, 80)
    assert all(len(line) <= 80 for line in narrow.splitlines())
    lines = [line for line in narrow.splitlines() if "…" in line]
    assert len(lines) == 28, "one line a row, and the heading"
    assert re.search(r"\d of \d+ columns fit here", narrow)
    wide = on_a_terminal(["sql", query], tmp_path, 200)
    assert len(re.findall(r"\S+", wide.splitlines()[1])) > len(lines[0].split())
    upright = on_a_terminal(["sql", "FROM patients LIMIT 2"], tmp_path, 80)
    assert len(re.findall(r"^ ?sex +female *$", upright, re.MULTILINE)) == 2
    assert "…" not in upright
    few = on_a_terminal(["sql", "SELECT sex, age_years FROM patients"], tmp_path, 80)
    assert "…" not in few
    assert "3 rows" in few


def test_a_closed_pipe_is_no_error(filled: Lakehouse, tmp_path: Path) -> None:
    process = launched(["sql", "SELECT * FROM range(3000000) AS r(n)"], tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "n\n"
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()

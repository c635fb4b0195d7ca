"""How rows look on a terminal and in a pipe."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from lakehouse.cli import output
from tests.cli.commands import Lakehouse, launched, on_a_terminal


@pytest.mark.slow
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


COMMANDS_WITH_ROWS = {
    ("tables",): "table,rows,one_row_is",
    ("tables", "patients"): "column,type,holds",
    ("views",): "topic,view,shows",
    ("rejects",): "level,rule,location,n,files,message",
    ("unmapped",): "format,name,n,files",
    ("release",): "release,made,rows",
    ("release", "--diff", "one", "one"): "table,added,removed",
    ("cohort",): "cohort",
    ("cohort", "women", "--sex", "female"): "step,asks,patients,lost",
    ("formats",): "format,usual_endings,reads",
    ("verify",): "id,check,looked_at,findings",
    ("maintain", "--dry-run"): "table,files,files_then,mb,mb_then,snapshots,snapshots_then,"
    "deleted,waiting",
    ("version",): "package,version",
    ("ingest", "feeds"): "table,rows_added",
    ("sql", "SELECT 7 AS n"): "n",
    ("synth", "hospital", "--patients", "1", "--years", "0.1"): "what,number",
}


def test_rows_in_a_pipe_have_a_header_and_json_has_the_same_names(filled: Lakehouse) -> None:
    """Also where there are none: then a header alone, or an empty array."""
    filled("release", "one")
    for command, header in COMMANDS_WITH_ROWS.items():
        piped = filled(*command)
        rows = list(csv.DictReader(io.StringIO(piped.out)))
        assert piped.out.splitlines()[0] == header, command
        as_json = filled(*command, "--json")
        assert (as_json.code, piped.code) == (0, 0), as_json.err
        objects = json.loads(as_json.out)
        assert len(objects) == len(rows), command
        assert all(",".join(each) == header for each in objects), command


def test_values_in_json_are_of_their_kind_and_in_csv_have_every_digit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = (None, True, 1234567.125, [".a", ".b"], 'x,"y"', float("nan"))
    columns = ("nothing", "is so", "MB", "endings", "text", "not a number")
    output.table(columns, [row], as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {
            "nothing": None,
            "is_so": True,
            "mb": 1234567.125,
            "endings": [".a", ".b"],
            "text": 'x,"y"',
            "not_a_number": None,
        }
    ]
    output.table(columns, [row])
    read = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert read[1] == ["", "true", "1234567.125", ".a, .b", 'x,"y"', "nan"]


def test_json_beside_another_format_is_refused(filled: Lakehouse) -> None:
    ran = filled("sql", "SELECT 1", "--json", "--format", "csv")
    assert (ran.code, "--json and --format csv contradict" in ran.err) == (2, True)
    assert filled("sql", "SELECT 1 AS n", "--json", "--format", "json").out == '[\n{"n": 1}\n]\n'


def test_what_a_view_is_made_of_as_json(lakehouse: Lakehouse) -> None:
    rows = json.loads(lakehouse("lineage", "patients_current.sex", "--json").out)
    made_from = {row["column"]: row["made_from"] for row in rows}
    assert "patients.sex" in made_from["patients_current.sex"]
    assert made_from["patients.sex"] == []
    assert json.loads(lakehouse("views", "qsofa", "--json").out)[0].keys() == {"column", "holds"}


@pytest.mark.slow
def test_a_terminal_shows_a_table_or_json_and_nothing_of_no_rows(
    filled: Lakehouse, tmp_path: Path
) -> None:
    shown = on_a_terminal(["tables"], tmp_path, 100)
    assert re.search(r"^ ?table +rows +one row is", shown, re.MULTILINE)
    assert "table,rows" not in shown
    assert json.loads(on_a_terminal(["formats", "--json"], tmp_path, 1000))[0]["format"] == "dicom"
    assert on_a_terminal(["release"], tmp_path, 100) == "No releases.\n"


def test_a_reader_of_a_table_that_has_enough_is_no_error(filled: Lakehouse, tmp_path: Path) -> None:
    process = launched(["views", "--json"], tmp_path)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (0, "")
    process.stderr.close()

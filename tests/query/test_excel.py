"""Rows as an Excel workbook, read back by another library; and as a table of a notebook."""

from __future__ import annotations

import io
import sys
from datetime import datetime, time
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from lakehouse.cli import output
from lakehouse.errors import MissingExtraError, QueryError
from lakehouse.query import excel
from lakehouse.query.result import Result
from lakehouse.query.views.evaluate import connect


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return connect()


def cells(result: Result, path: Path) -> list[list[Any]]:
    """Write a workbook as `lakehouse sql -o` does, and return its cells."""
    output.write(result, None, path, 0)
    return [list(row) for row in openpyxl.load_workbook(path).active.iter_rows()]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "{=1}",
        "http://a.b",
        "007",
        " x ",
        "a\nb",
        "<&>\"'",
        "_x0041_",
    ],
)
def test_a_text_stays_a_text(con: duckdb.DuckDBPyConnection, tmp_path: Path, text: str) -> None:
    result = Result(con.sql("SELECT $t AS note", params={"t": text}))
    _, (cell,) = cells(result, tmp_path / "rows.xlsx")
    assert cell.data_type == "s"
    assert cell.hyperlink is None
    assert cell.value.replace("_x005F", "") == text


def test_a_column_is_no_formula_either(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    ((cell,), _) = cells(Result(con.sql('SELECT 1 AS "=1+1"')), tmp_path / "rows.xlsx")
    assert (cell.value, cell.data_type) == ("=1+1", "s")


@pytest.mark.parametrize(
    ("value", "read", "form"),
    [
        ("TIMESTAMPTZ '2130-01-05 10:11:12+02'", datetime(2130, 1, 5, 8, 11, 12), "yyyy-mm-dd hh"),
        ("TIMESTAMP '2130-01-05 10:11:12'", datetime(2130, 1, 5, 10, 11, 12), "yyyy-mm-dd hh"),
        ("DATE '2130-01-05'", datetime(2130, 1, 5), "yyyy-mm-dd"),
        ("DATE '1850-01-05'", "1850-01-05", ""),
        ("TIME '10:11:12'", time(10, 11, 12), "hh:mm:ss"),
        ("1.50::DECIMAL(38, 10)", 1.5, ""),
        ("0.1234567890123456789::DECIMAL(38, 19)", "0.1234567890123456789", ""),
        ("9007199254740993", "9007199254740993", ""),
        ("count(*)", 1, ""),
        ("sum(7)", 7, ""),
        ("2.5::DOUBLE", 2.5, ""),
        ("'nan'::DOUBLE", None, ""),
        ("'-inf'::FLOAT", None, ""),
        ("NULL", None, ""),
        ("true", True, ""),
        ("[1, 2]", "[1, 2]", ""),
        ("{'a': 1}", "{'a': 1}", ""),
        ("INTERVAL 1 DAY", "1 day", ""),
    ],
)
def test_a_value_is_what_it_is(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, value: str, read: Any, form: str
) -> None:
    result = Result(con.sql(f"SELECT {value} AS v, 'x' AS w"))
    head, (cell, _) = cells(result, tmp_path / "rows.xlsx")
    assert (head[0].value, cell.value) == ("v", read)
    assert cell.data_type != "f"
    assert cell.number_format.startswith(form or "General")


def test_characters_that_xml_does_not_have_do_not_spoil_the_file(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    _, (cell,) = cells(Result(con.sql("SELECT 'a' || chr(1) || 'b' AS v")), tmp_path / "rows.xlsx")
    assert cell.value == "a_x0001_b"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT n FROM range({rows}) AS r (n)", "1,048,576 rows at most, and there are more"),
        ("SELECT repeat('x', 32768) AS note", "a value of the column note has more"),
    ],
)
def test_what_does_not_fit_is_one_error_before_anything_is_written(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    sql: str,
    says: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "rows.xlsx"
    path.write_text("of yesterday")
    with pytest.raises(QueryError, match=says):
        output.write(Result(con.sql(sql.format(rows=excel.MAX_ROWS))), None, path, 0)
    assert path.read_text() == "of yesterday"
    assert capfd.readouterr().err == ""


def test_a_sheet_takes_as_many_rows_as_excel(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel, "MAX_ROWS", 5)
    file = io.BytesIO()
    Result(con.sql("FROM range(4)")).to_excel(file)
    assert openpyxl.load_workbook(file).active.max_row == 5
    with pytest.raises(QueryError):
        Result(con.sql("FROM range(5)")).to_excel(io.BytesIO())


def test_no_rows_are_a_header(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (head,) = cells(Result(con.sql("SELECT 1 AS a, 2 AS b WHERE false")), tmp_path / "rows.xlsx")
    assert [cell.value for cell in head] == ["a", "b"]


def test_a_missing_extra_is_named(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(MissingExtraError, match=r"clinical-lakehouse\[excel\]"):
        output.write(Result(con.sql("SELECT 1")), None, tmp_path / "rows.xlsx", 0)
    assert not (tmp_path / "rows.xlsx").exists()


def test_a_notebook_shows_the_first_rows_and_how_many_there_are(
    con: duckdb.DuckDBPyConnection,
) -> None:
    shown = Result(con.sql("SELECT n FROM range(12345) AS r (n)"))._repr_html_()
    assert shown.count("<tr>") == 1 + 50
    assert "<td>49</td>" in shown
    assert "<td>50</td>" not in shown
    assert "The first 50 of 12,345 rows" in shown
    for n, says in ((0, "<p>0 rows</p>"), (1, "<p>1 row</p>"), (50, "<p>50 rows</p>")):
        assert says in Result(con.sql(f"FROM range({n})"))._repr_html_()


def test_a_notebook_is_shown_text_and_no_markup(con: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT '<script>alert(1)</script>' AS \"<b>\", NULL AS n, repeat('&', 999) AS long"
    shown = Result(con.sql(sql))._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "<td><i>null</i></td>" in shown
    assert shown.count("&amp;") == 200


def test_a_notebook_is_not_told_a_value_by_an_error(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(QueryError) as caught:
        Result(con.sql("SELECT v::INT FROM (VALUES ('DOE')) AS t (v)"))._repr_html_()
    assert "DOE" not in str(caught.value)

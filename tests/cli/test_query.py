"""Asking: sql, shell, tables, views, lineage."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tests.cli.commands import ADMISSION, Lakehouse, launched


def test_sql_in_every_format(filled: Lakehouse, tmp_path: Path) -> None:
    query = "SELECT sex, age_years, stated_at IS NULL AS never FROM patients ORDER BY 1 LIMIT 2"
    rows = [{"sex": "female", "age_years": 44, "never": False}] * 2
    assert filled("sql", query).out == "sex,age_years,never\n" + "female,44,false\n" * 2
    assert json.loads(filled("sql", query, "--format", "json").out) == rows
    lines = filled("sql", query, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert filled("sql", query, "--format", "markdown").out.splitlines()[:2] == [
        "| sex | age_years | never |",
        "| --- | --- | --- |",
    ]
    assert filled("sql", query, "--format", "table").out.splitlines()[1].split() == [
        "female",
        "44",
        "false",
    ]
    for name in ("rows.parquet", "rows.arrow", "rows.csv", "rows.json", "rows.md"):
        assert filled("sql", query, "-o", name).code == 0
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == rows
    with pa.OSFile(str(tmp_path / "rows.arrow")) as file:
        assert pyarrow.ipc.open_stream(file).read_all().to_pylist() == rows
    assert json.loads((tmp_path / "rows.json").read_text()) == rows


def test_sql_of_no_rows_is_still_of_its_format(filled: Lakehouse, tmp_path: Path) -> None:
    query = "SELECT sex FROM patients WHERE false"
    assert filled("sql", query).out == "sex\n"
    assert json.loads(filled("sql", query, "--format", "json").out) == []
    assert filled("sql", query, "--format", "jsonl").out == ""
    filled("sql", query, "-o", "none.parquet")
    assert pq.read_table(tmp_path / "none.parquet").column_names == ["sex"]


def test_csv_survives_a_round_trip(filled: Lakehouse) -> None:
    query = (
        "SELECT 'a,\"b\"' AS x, NULL AS y, 1.5::DOUBLE AS z,"
        " '2024-01-31 08:00:00+00'::TIMESTAMPTZ AS t"
    )
    rows = list(csv.reader(io.StringIO(filled("sql", query).out)))
    assert rows == [["x", "y", "z", "t"], ['a,"b"', "", "1.5", "2024-01-31 08:00:00+00"]]


def test_sql_from_input_file_and_parameters(
    filled: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "q.sql").write_text("SELECT count(*) AS n FROM patients WHERE sex = $sex")
    assert filled("sql", "--file", "q.sql", "-p", "sex=female").out == "n\n3\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS one"))
    assert filled("sql", "-").out == "one\n1\n"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT sexx FROM patients", "There is no column named sexx. Did you mean sex?"),
        ("FROM patient", "There is no table or view named patient. Did you mean patients"),
        ("DROP TABLE patients", "Only a SELECT can run here, and this is a DROP."),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1; DROP TABLE patients", "This is more than one statement. Give one SELECT."),
        ("SELECT medain(age_years) FROM patients", "no function named medain. Did you mean median"),
        ("SELECT zzz FROM patient_links", "no column named zzz. There are: record_id, "),
        ("SELECT 1 WHERE 2 > $least", "no value for $least. Give it by name: params={'least': ..."),
        ("FROM read_csv('/etc/passwd')", "read_csv is not available"),
    ],
)
def test_a_bad_query_is_one_line_on_stderr(filled: Lakehouse, query: str, says: str) -> None:
    ran = filled("sql", query)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_what_cannot_be_read_or_written_is_said_with_its_reason(
    filled: Lakehouse, tmp_path: Path
) -> None:
    (tmp_path / "latin").write_bytes(b"SELECT '\xe9'")
    for arguments, says in (
        (["SELECT 1", "-o", "x.foo"], "The ending of x.foo tells no format. End it in one of .md"),
        (["SELECT 1", "-o", "nowhere/x.csv"], "nowhere/x.csv cannot be written (no such file or"),
        (["-f", "none.sql"], "none.sql cannot be read (no such file or directory)"),
        (["-f", "latin"], "latin is no text in UTF-8"),
        (["SELECT 1", "-p", "x=1"], "The query has no parameter $x."),
        (["SELECT $x", "-p", "x"], "A parameter reads NAME=VALUE."),
    ):
        ran = filled("sql", *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert says in ran.err
    assert not (tmp_path / "x.foo").exists()
    assert filled("sql", "SELECT 1 AS n", "-o", "x.foo", "--format", "csv").code == 0
    assert (tmp_path / "x.foo").read_text() == "n\n1\n"


def test_no_warehouse_is_one_line(lakehouse: Lakehouse, tmp_path: Path) -> None:
    for command in (["tables"], ["sql", "SELECT 1"], ["shell", "-c", "SELECT 1"], ["rejects"]):
        ran = lakehouse(*command)
        assert ran.code == 2
        assert ran.err.startswith(f"lakehouse: There is no warehouse in {tmp_path}/warehouse.")


def test_tables_and_their_columns(filled: Lakehouse) -> None:
    rows = dict(line.split(",")[:2] for line in filled("tables").out.splitlines())
    assert (rows["patients"], rows["encounters"], rows["observations"]) == ("3", "3", "0")
    assert 'sex,VARCHAR,"Administrative sex' in filled("tables", "patients").out


def test_views_say_what_they_are(lakehouse: Lakehouse) -> None:
    assert "patients,patients_current," in lakehouse("views").out
    out = lakehouse("views", "qsofa").out
    assert "Singer" in out
    assert "One row per:" in out
    assert lakehouse("views", "qsofa", "--sql").out.startswith("WITH")
    ran = lakehouse("views", "qsofaa")
    assert (ran.code, ran.err) == (
        2,
        "lakehouse: There is no view named qsofaa. Did you mean qsofa, sofa?\n",
    )


def test_views_in_another_dialect(lakehouse: Lakehouse) -> None:
    out = lakehouse("views", "qsofa", "--dialect", "snowflake", "--schema", "clinic").out
    assert "CREATE OR REPLACE VIEW clinic.qsofa AS" in out
    assert "Did you mean spark?" in lakehouse("views", "--dialect", "sparc").err


def test_lineage_as_text_and_picture(lakehouse: Lakehouse, tmp_path: Path) -> None:
    out = lakehouse("lineage", "patients_current.sex").out
    assert out.startswith("patients_current.sex")
    assert "patients.sex" in out
    assert "Wrote sex.svg" in lakehouse("lineage", "patients_current.sex", "--svg", "sex.svg").err
    assert (tmp_path / "sex.svg").read_text().startswith("<svg")
    assert lakehouse("lineage", "patients_current.sexx").code == 2


def test_small_cells(filled: Lakehouse) -> None:
    query = "SELECT sex, count(*) AS n FROM patients GROUP BY sex"
    assert filled("sql", query, "--min-cell", "3").out == "sex,n,suppressed\nfemale,3,\n"
    assert filled("sql", query, "--min-cell", "4").out == "sex,n,suppressed\n"
    assert filled("sql", "FROM patients", "--min-cell", "4").code == 2


@pytest.mark.slow
def test_the_address_of_a_pinned_shell_stays_what_it_was(
    filled: Lakehouse, feeds: Path, tmp_path: Path
) -> None:
    """Each release has a folder of its own, which goes when nothing can answer for it any more."""
    from lakehouse import open as open_lake
    from lakehouse.query.connection.shell_database import shell_command

    def pinned(name: str) -> Path:
        ran = filled("shell", "--as-of", name, "--init-file")
        assert ran.code == 0, ran.err
        return Path(ran.out.strip())

    def ask(init: Path) -> str:
        query = "SELECT count(*) FROM patients"
        command = [*shell_command(init), "-csv", "-noheader", "-c", query]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    filled("release", "2026-q1")
    first = pinned("2026-q1")
    text = ADMISSION.format(control="C9", number="555555")
    (feeds / "9.hl7").write_text(text, newline="")
    filled("ingest", str(feeds))
    filled("release", "2026-q2")
    second = pinned("2026-q2")
    assert (ask(first), ask(second)) == ("3", "4")
    assert first == pinned("2026-q1")
    newest = Path(filled("shell", "--init-file").out.strip())
    assert newest.parent == first.parents[2] and ask(newest) == "4"
    for name, n in (("2026-q1", 3), ("2026-q2", 4)):
        with open_lake(tmp_path / "warehouse", as_of=name) as lake:
            assert lake.sql("SELECT count(*) FROM patients").fetchall() == [(n,)]
    filled("release", "2026-q1", "--drop")
    filled("maintain", "--keep", "1", "--grace", "0")
    assert pinned("2026-q2") == second and ask(second) == "4"
    assert not first.parent.exists()
    assert filled("verify").code == 0


@pytest.mark.slow
def test_the_shell_answers_what_is_piped_into_it(filled: Lakehouse, tmp_path: Path) -> None:
    process = launched(["shell"], tmp_path, stdin=subprocess.PIPE)
    out, err = process.communicate(
        "SELECT count(*) AS n FROM patients;\n.mode csv\nSELECT 7;\n", 60
    )
    assert (process.returncode, err) == (0, "")
    assert "3" in out
    assert out.endswith("7\n")
    assert "\x1b" not in out
    process = launched(["shell", "-c", "SELECT sexx FROM patients"], tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "sexx" in err

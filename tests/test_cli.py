"""The command line as a person uses it: what it prints, where, and the exit code."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
import typer

from lakehouse.cli import run
from lakehouse.cli.app import app
from lakehouse.quality import load_rules
from lakehouse.synth import tutorial

ADMISSION = (
    "MSH|^~\\&|ADT|MERCY|LAKE|MERCY|20240115083000||ADT^A01|{control}|P|2.5\r"
    "EVN|A01|20240115083000\r"
    "PID|1||{number}^^^MERCY^MR||Doe^Jane||19800101|F|||12 Main St^^Springfield^IL^62701\r"
    "PV1|1|I|3W^301^A||||1234^Smith^John|||MED||||||||V{number}^^^MERCY^VN\r"
)


@dataclass
class Ran:
    """What one command left behind."""

    code: int
    out: str
    err: str


Lakehouse = Callable[..., Ran]


@pytest.fixture
def feeds(tmp_path: Path) -> Path:
    folder = tmp_path / "feeds"
    folder.mkdir()
    for n in range(3):
        text = ADMISSION.format(control=f"C{n}", number=f"10000{n}")
        (folder / f"{n}.hl7").write_text(text, newline="")
    return folder


@pytest.fixture
def lakehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Lakehouse:
    """Run a command in a folder and home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("LAKEHOUSE_WAREHOUSE", "LAKEHOUSE_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> Ran:
        capsys.readouterr()
        code = run(list(arguments))
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return command


@pytest.fixture
def filled(lakehouse: Lakehouse, feeds: Path) -> Lakehouse:
    """The same with ``./warehouse`` made and the feeds ingested."""
    assert lakehouse("ingest", str(feeds)).code == 0
    return lakehouse


def commands() -> list[str]:
    return sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


# Help


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_an_example(lakehouse: Lakehouse, name: str) -> None:
    ran = lakehouse(name, "--help")
    assert ran.code == 0
    assert f"Example: lakehouse {name}" in ran.out
    first = ran.out.split(f"lakehouse {name} ")[1].split("\n", 1)[1].strip().split("\n")[0]
    assert len(first) > 20, "a sentence that says what the command does"


def test_help_is_there_at_once() -> None:
    """Nothing heavy is imported for it: half a second of processor time, on a busy machine too."""
    command = [sys.executable, "-m", "lakehouse.cli", "--help"]
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 0.5


def test_without_arguments_there_is_help_and_no_complaint(lakehouse: Lakehouse) -> None:
    for arguments in ([], ["export"]):
        ran = lakehouse(*arguments)
        assert "Usage: lakehouse" in ran.out + ran.err
        assert "lakehouse: " not in ran.err


def test_the_version_as_an_option(lakehouse: Lakehouse) -> None:
    assert lakehouse("--version").out.strip() in lakehouse("version").out


def test_a_command_that_is_none_is_told_with_the_nearest(lakehouse: Lakehouse) -> None:
    assert "Did you mean 'ingest'? See: lakehouse --help" in lakehouse("ingestt").err


def test_completion_is_offered(lakehouse: Lakehouse) -> None:
    assert "--install-completion" in lakehouse("--help").out


# Bringing data in


def test_ingest_makes_a_warehouse_and_says_what_it_made(
    lakehouse: Lakehouse, feeds: Path, tmp_path: Path
) -> None:
    ran = lakehouse("ingest", str(feeds))
    assert ran.code == 0
    said = " ".join(ran.err.split())
    assert f"Made the warehouse {tmp_path}/warehouse (profile safe_harbor" in said
    keys = list((tmp_path / "config" / "clinical-lakehouse" / "keys").glob("*.key"))
    assert len(keys) == 1
    assert str(keys[0]) in ran.err.replace("\n", "")
    assert keys[0].stat().st_mode & 0o077 == 0
    assert "Ingested 3 records of 3 files" in said
    assert "patients\t3" in ran.out


def test_ingesting_again_changes_nothing_and_needs_no_key_named(
    filled: Lakehouse, feeds: Path
) -> None:
    again = filled("ingest", str(feeds))
    assert again.code == 0
    assert "Nothing new: 3 files known already." in again.err
    assert filled("sql", "SELECT count(*) AS n FROM patients").out == "n\n3\n"


def test_ingest_of_a_missing_path_makes_no_warehouse(lakehouse: Lakehouse, tmp_path: Path) -> None:
    ran = lakehouse("ingest", "nowhere")
    assert (ran.code, ran.err) == (2, "lakehouse: nowhere does not exist. Check the path.\n")
    assert not (tmp_path / "warehouse").exists()
    assert not (tmp_path / "config").exists()


def test_ingest_makes_nothing_before_it_knows_that_it_can(
    lakehouse: Lakehouse, feeds: Path, tmp_path: Path
) -> None:
    """A glob without a match, an empty folder, wrong terms: no warehouse, no key is left behind."""
    (tmp_path / "nothing").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "gone").symlink_to(tmp_path / "nowhere")
    for arguments, says in (
        (["feeds/*.dcm"], "matches nothing"),
        (["nothing"], "holds no file"),
        (["links"], "holds no file but links that lead nowhere (1)"),
        (["feeds", "--format", "hl8"], "hl8"),
        (["feeds", "--engine", "sparkly"], "There is no engine named sparkly"),
        (["feeds", "--time-zone", "Mars"], "There is no time zone named Mars"),
        (["feeds", "--key-file", "typo/my.key"], "The key file typo/my.key does not exist."),
        (["feeds", "-w", ""], "The path of the warehouse is empty."),
    ):
        ran = lakehouse("ingest", *arguments)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        assert says in ran.err
        left = sorted(p.name for p in tmp_path.iterdir())
        assert left == ["feeds", "links", "nothing"]


def test_an_engine_that_is_none_is_refused_when_nothing_is_new_too(
    filled: Lakehouse, feeds: Path
) -> None:
    ran = filled("ingest", str(feeds), "--engine", "sparkly")
    assert (ran.code, "no engine named sparkly" in ran.err) == (2, True)


def test_a_link_that_leads_nowhere_is_told_and_stops_nobody(
    lakehouse: Lakehouse, feeds: Path
) -> None:
    (feeds / "gone.hl7").symlink_to(feeds / "nowhere.hl7")
    ran = lakehouse("ingest", str(feeds))
    assert ran.code == 0
    assert "Passed over 1 link leading nowhere." in ran.err
    assert "patients\t3" in ran.out


def test_a_warehouse_is_no_input(filled: Lakehouse, tmp_path: Path) -> None:
    ran = filled("ingest", "warehouse", "-w", "other")
    assert (ran.code, "warehouse is a warehouse or holds one" in ran.err) == (2, True)
    assert not (tmp_path / "other").exists()
    assert filled("ingest", ".", "-w", "other").code == 2
    assert filled("ingest", ".").code == 0, "its own folder is passed over"


def test_ingest_with_another_key_is_refused(filled: Lakehouse, feeds: Path, tmp_path: Path) -> None:
    assert filled("init", "other", "--key-file", str(tmp_path / "other.key")).code == 0
    ran = filled("ingest", str(feeds), "--key-file", str(tmp_path / "other.key"))
    assert ran.code == 2
    assert "is not the one the warehouse was made with" in ran.err


def test_ingest_without_the_key_is_refused(filled: Lakehouse, feeds: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "config")
    ran = filled("ingest", str(feeds))
    assert ran.code == 2
    assert "LAKEHOUSE_KEY_FILE" in ran.err
    assert ran.err.count("\n") == 1


def test_init_refuses_what_is_there_and_what_it_cannot_promise(filled: Lakehouse) -> None:
    assert "warehouse already (profile safe_harbor)" in filled("init").err
    ran = filled("init", "limited", "--profile", "limited")
    assert ran.code == 2
    assert "--data-use-agreement" in ran.err
    ran = filled("init", "x", "--profile", "safe_habor")
    assert "Did you mean safe_harbor?" in ran.err


def test_a_warehouse_of_another_profile_is_said_to_be_one(filled: Lakehouse) -> None:
    ran = filled("init", "warehouse", "--profile", "limited", "--data-use-agreement", "DUA-1")
    assert ran.code == 2
    assert "warehouse has the profile safe_harbor, not limited" in ran.err
    assert "use it" not in ran.err
    assert "warehouse already" in filled("init", "warehouse", "--profile", "safe_harbor").err


def test_an_empty_path_is_no_warehouse(lakehouse: Lakehouse, tmp_path: Path) -> None:
    for arguments in (["init", ""], ["init", "-w", ""], ["sql", "SELECT 1", "-w", ""]):
        ran = lakehouse(*arguments)
        assert (ran.code, "The path of the warehouse is empty." in ran.err) == (2, True)
    assert not list(tmp_path.iterdir())


def test_init_makes_a_key_where_it_is_told_and_says_where(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    ran = lakehouse("init", "--key-file", "keys/my.key")
    assert ran.code == 0
    assert f"Made its key {tmp_path}/keys/my.key." in ran.err
    assert (tmp_path / "keys" / "my.key").exists()


def test_a_catalog_by_name(
    lakehouse: Lakehouse, feeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """init, ingest and sql on a catalog of .pyiceberg.yaml; a wrong one is told, never ignored."""
    (tmp_path / ".pyiceberg.yaml").write_text(
        "catalog:\n"
        f"  hospital:\n    type: sql\n    uri: sqlite:///{tmp_path}/own.db?timeout=30\n"
        f"  other:\n    type: sql\n    uri: sqlite:///{tmp_path}/other.db?timeout=30\n"
        "  broken:\n    type: sql\n"
    )
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))
    assert lakehouse("init", "--catalog", "hospital").code == 0
    assert (tmp_path / "own.db").exists()
    assert not (tmp_path / "warehouse" / "catalog.db").exists()
    assert lakehouse("ingest", str(feeds), "--catalog", "hospital").code == 0
    query = ["sql", "SELECT count(*) AS n FROM patients"]
    for named in (["--catalog", "hospital"], []):
        assert lakehouse(*query, *named).out == "n\n3\n"
        assert "patients\t3" in lakehouse("tables", *named).out

    for command in (query, ["tables"], ["ingest", str(feeds)], ["shell", "-c", "SELECT 1"]):
        ran = lakehouse(*command, "--catalog", "hospitel")
        assert (ran.code, ran.out) == (2, "")
        assert "no catalog named hospitel in .pyiceberg.yaml. Did you mean hospital?" in ran.err
        ran = lakehouse(*command, "--catalog", "other")
        assert (ran.code, ran.out) == (2, "")
        assert "does not hold the tables of the warehouse" in ran.err
    ran = lakehouse("init", "x", "--catalog", "broken")
    assert "The catalog broken is not described well enough" in ran.err
    assert not (tmp_path / "x" / "lakehouse.json").exists()


def test_init_that_fails_leaves_no_key(lakehouse: Lakehouse, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert lakehouse("init", "file/below").code in (1, 2)
    assert not list(tmp_path.glob("config/**/*.key"))


def test_rejects_are_counted_by_rule(filled: Lakehouse, feeds: Path) -> None:
    assert "No rejects." in filled("rejects").err
    (feeds / "bad.hl7").write_text(
        ADMISSION.format(control="", number="999999").replace("ADT^A01|", "ADT^A01|"), newline=""
    )
    filled("ingest", str(feeds))
    ran = filled("rejects", "--warnings")
    assert ran.code == 0
    assert "hl7v2" in ran.out
    assert "999999" not in ran.out


def test_a_replay_settles_rejects(
    filled: Lakehouse, feeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typeless = ADMISSION.format(control="C7", number="100007").replace("ADT^A01|", "|")
    uncoded = ADMISSION.format(control="", number="100008") + "DG1|1||^words\r"
    (feeds / "7.hl7").write_text(typeless + uncoded, newline="")
    filled("ingest", str(feeds))

    def figures() -> str:
        sums = "sum(bytes), sum(n_records - n_rejects), sum(n_warnings)"
        return filled("sql", f"SELECT {sums} FROM ingest_files").out

    def conformance(rule: str) -> str:
        query = "SELECT n_records, n_failed, pass_rate FROM conformance WHERE rule = $rule"
        return filled("sql", query, "-p", f"rule={rule}").out.splitlines()[1]

    assert [line.split("\t")[:5] for line in filled("rejects").out.splitlines()] == [
        ["record", "hl7v2.msh.type-required", "MSH-9", "1", "1"],
        ["row", "hl7v2.dg1.code-required", "DG1-3", "1", "1"],
    ]
    said = filled("rejects").err
    assert "Not stored: 1 record, 1 row. --replay PATH tries them again" in said
    assert "Also 1 warning: --warnings lists them." in said
    assert "warning\thl7v2.msh.control-id\tMSH-10\t1\t1" in filled("rejects", "--warnings").out
    assert conformance("hl7v2.msh.type-required") == "5,1,80.0"
    size = sum(f.stat().st_size for f in feeds.iterdir())
    assert figures().splitlines()[1] == f"{size},4,2"
    assert "No rejected record" in filled("rejects", "--replay", str(feeds)).err

    mended = ("hl7v2.msh.type-required", "hl7v2.dg1.code-required")
    kept = tuple(r for r in load_rules("hl7v2") if r.id not in mended)
    monkeypatch.setattr(import_module("lakehouse.quality.validate"), "load_rules", lambda _: kept)
    assert "Stored 1 record." in filled("rejects", "--replay", str(feeds)).err
    assert filled("rejects").out == ""
    assert "No rejects." in filled("rejects").err
    assert conformance("hl7v2.msh.type-required") == "5,0,100.0"
    assert figures().splitlines()[1] == f"{size},5,2"
    assert filled("sql", "SELECT count(*) AS n FROM conditions").out == "n\n1\n"
    assert "No rejected record" in filled("rejects", "--replay", str(feeds)).err


def test_a_file_of_no_known_format_is_named_and_can_be_taken(
    lakehouse: Lakehouse, feeds: Path
) -> None:
    """Only a path that was typed in full is told; in a folder the keyed id stands for the name."""
    strange = feeds / "DOE_JANE.txt"
    strange.write_text("no header\r" + ADMISSION.format(control="C7", number="100007"), newline="")
    ran = lakehouse("ingest", "feeds")
    assert "Of no known format: 1 file at or below feeds. Nothing of that is stored." in ran.err
    file_id = lakehouse("sql", "SELECT file_id FROM open_rejects").out.splitlines()[1]
    assert file_id in ran.err
    again = lakehouse("ingest", "feeds")
    assert "Nothing new: 3 files known already." in again.err
    assert f"File ids: {file_id}." in again.err
    rejects = lakehouse("rejects")
    assert rejects.out.startswith("file\tfile.not-recognised\t\t1\t1\t")
    assert file_id in rejects.err
    assert "DOE" not in ran.err + again.err + rejects.out + rejects.err
    alone = lakehouse("ingest", "feeds/DOE_JANE.txt")
    said = "Of no known format: feeds/DOE_JANE.txt. Nothing of it is stored."
    assert said in alone.err
    assert said in lakehouse("ingest", "feeds/DOE_JANE.txt", "feeds").err
    assert "--format NAME reads" in alone.err
    other = lakehouse("ingest", "feeds/DOE_JANE.txt", "--format", "dicom")
    assert said.replace("Of no known format", "Not readable as dicom") in other.err
    assert "Nothing new.\n" in alone.err
    assert "dicom" in lakehouse("rejects").out
    taken = lakehouse("rejects", "--replay", "feeds", "--format", "hl7v2")
    assert "Stored 1 record." in taken.err
    assert "No rejects." in lakehouse("rejects").err
    assert "4 files known already." in lakehouse("ingest", "feeds").err


def test_formats(lakehouse: Lakehouse) -> None:
    assert "hl7v2\t" in lakehouse("formats").out


def test_version(lakehouse: Lakehouse) -> None:
    out = lakehouse("version").out
    assert "clinical-lakehouse\t" in out
    assert "duckdb\t1.5.5" in out


# Asking


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


def test_a_wrong_option_is_one_line(lakehouse: Lakehouse) -> None:
    for arguments in (["sql", "--fromat", "csv"], ["sqll"], ["init", "--buckets", "x"]):
        ran = lakehouse(*arguments)
        assert ran.code == 2
        assert ran.err.count("\n") == 1
        assert "--help" in ran.err


def test_tables_and_their_columns(filled: Lakehouse) -> None:
    rows = dict(line.split("\t")[:2] for line in filled("tables").out.splitlines())
    assert (rows["patients"], rows["encounters"], rows["observations"]) == ("3", "3", "0")
    assert "sex\tVARCHAR\tAdministrative sex" in filled("tables", "patients").out


def test_views_say_what_they_are(lakehouse: Lakehouse) -> None:
    assert "patients\tpatients_current\t" in lakehouse("views").out
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


def test_a_cohort_is_built_saved_and_compared(filled: Lakehouse, tmp_path: Path) -> None:
    asked = ["--sex", "female", "--age", "18-75", "--without", "condition=E11"]
    ran = filled("cohort", "women", *asked, "--save", "--svg", "women.svg", "-o", "women.csv")
    assert ran.code == 0, ran.err
    assert "0\tall patients\t3\t0" in ran.out
    assert (tmp_path / "warehouse" / "cohorts" / "women.json").exists()
    assert (tmp_path / "women.svg").exists()
    assert (tmp_path / "women.csv").read_text().count("\n") == 4
    assert filled("cohort").out == "women\n"
    assert "all patients\t3" in filled("cohort", "women").out
    assert "Nothing changed" in filled("cohort", "women", "--diff").err
    assert "SELECT" in filled("cohort", "women", "--sql").out
    assert "saved cohort" in filled("cohort", "wemen").err
    assert filled("cohort", "x", "--lab", "4548-4 6.5").code == 2
    assert filled("cohort", "x", "--lab", "hba1c>=6.5", "--race", "2106-3").code == 0
    assert filled("cohort", "x", "--ethnicity", "H", "--vital", "gcs<15").code == 0
    assert filled("cohort", "x", "--age", "old").code == 2


# Keeping


def test_release_pins_what_later_ingests_change(
    filled: Lakehouse, feeds: Path, tmp_path: Path
) -> None:
    assert "Release 2026-q1 pins" in filled("release", "2026-q1").err
    text = ADMISSION.format(control="C9", number="555555")
    (feeds / "9.hl7").write_text(text, newline="")
    filled("ingest", str(feeds))
    query = "SELECT count(*) AS n FROM patients"
    assert filled("sql", query, "--as-of", "2026-q1").out == "n\n3\n"
    assert filled("sql", query).out == "n\n4\n"
    assert filled("release", "2026-q1").code == 2
    filled("release", "2026-q2")
    assert filled("release").out.count("2026-q") == 2
    assert "patients\t1\t0" in filled("release", "--diff", "2026-q1", "2026-q2").out
    assert filled("release", "2026-q1", "--drop").code == 0
    assert filled("sql", query, "--as-of", "2026-q1").code == 2
    assert filled("release", "--drop").code == 2


def test_an_ingest_after_a_kill_says_that_it_completed_the_first(
    lakehouse: Lakehouse, feeds: Path
) -> None:
    lakehouse("init")
    done = subprocess.run(
        [sys.executable, "-m", "lakehouse.cli", "ingest", str(feeds)],
        env=os.environ | {"LAKEHOUSE_CRASH_AT": "journal-written"},
        capture_output=True,
        check=False,
    )
    assert done.returncode < 0
    ran = lakehouse("verify")
    assert ran.code == 1 and "nothing-interrupted" in ran.err
    ran = lakehouse("ingest", str(feeds))
    assert ran.code == 0 and "had been left unfinished" in ran.err
    assert lakehouse("verify").code == 0


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


def test_the_key_is_never_inside_the_warehouse(
    lakehouse: Lakehouse, feeds: Path, tmp_path: Path
) -> None:
    inside = tmp_path / "warehouse" / "keys" / "my.key"
    ran = lakehouse("init", "--key-file", str(inside))
    assert ran.code == 2 and "inside the warehouse" in ran.err and not inside.exists()
    lakehouse("init", "--key-file", str(tmp_path / "my.key"))
    inside.parent.mkdir()
    shutil.copy2(tmp_path / "my.key", inside)
    (tmp_path / "link.key").symlink_to(inside)
    for named in (inside, tmp_path / "link.key"):
        ran = lakehouse("ingest", str(feeds), "--key-file", str(named))
        assert ran.code == 2 and "inside the warehouse" in ran.err
    ran = lakehouse("verify")
    assert ran.code == 1 and "no-key-inside" in ran.err


def test_verify_needs_both_tokens_and_control(filled: Lakehouse, tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("Springfield\n")
    assert "--control DIR" in filled("verify", "--tokens", "tokens.txt").err
    assert "--tokens FILE" in filled("verify", "--control", "feeds").err
    ran = filled("verify", "-o", "report.pdf")
    assert ran.code == 2 and ".json or .html" in ran.err and not Path("report.pdf").exists()


def test_verify_and_its_report(filled: Lakehouse, tmp_path: Path) -> None:
    ran = filled("verify", "-o", "report.json")
    assert ran.code == 0
    assert "passed" in ran.err
    assert json.loads((tmp_path / "report.json").read_text())["passed"] is True
    (tmp_path / "tokens.txt").write_text("Springfield\n12 Main St\n100001\n")
    ran = filled("verify", "--tokens", "tokens.txt", "--control", "feeds", "-o", "report.html")
    assert ran.code == 0, ran.err
    (tmp_path / "warehouse" / "tables" / "patients" / "data" / "stray.parquet").write_text("x")
    assert filled("verify").code == 1


def test_maintain(filled: Lakehouse, feeds: Path) -> None:
    for n in range(2):
        text = ADMISSION.format(control=f"M{n}", number=f"77777{n}")
        (feeds / f"m{n}.hl7").write_text(text, newline="")
        filled("ingest", str(feeds))
    before = filled("sql", "SELECT * FROM patients ORDER BY ALL").out
    dry = filled("maintain", "--dry-run", "--keep", "1")
    assert "patients\t3\t1" in dry.out
    assert filled("maintain", "--keep", "1", "--grace", "0").code == 0
    assert filled("sql", "SELECT * FROM patients ORDER BY ALL").out == before


def test_forget_asks_first_and_erases(
    filled: Lakehouse, feeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = ["--record-number", "100001", "--authority", "MERCY"]
    refused = filled("forget", *who)
    assert (refused.code, "--yes" in refused.err) == (2, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("100001\n"))
    ran = filled("forget", "--record-number", "-", "--authority", "MERCY", "--yes")
    assert ran.code == 0, ran.err
    assert "patients\t1" in ran.out
    assert "100001" not in ran.out + ran.err
    assert filled("sql", "SELECT count(*) AS n FROM patients").out == "n\n2\n"
    filled("ingest", str(feeds))
    assert filled("sql", "SELECT count(*) AS n FROM patients").out == "n\n2\n"
    assert filled("forget", *who, "--yes").code == 2


# As a process of its own


def launched(arguments: list[str], folder: Path, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "lakehouse.cli", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def on_a_terminal(arguments: list[str], folder: Path, columns: int) -> str:
    """Return what a command prints on a terminal of some width."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "lakehouse.cli", *arguments],
        cwd=folder,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:
        while piece := terminal.read(1 << 16):
            shown += piece
    assert process.wait(60) == 0
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.decode()).replace("\r\n", "\n")


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


def test_ingest_of_a_hundred_messages_from_a_cold_start(tmp_path: Path) -> None:
    """Under 5 s; on a busy machine the processor time counts, for the wait is not ours."""
    tutorial.write(tmp_path / "feed", messages=100)
    wall, used = [], []
    for n in range(2):
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = launched(["ingest", "feed", "-w", f"w{n}"], tmp_path)
        _, err = process.communicate(timeout=300)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "Ingested 100 records of 1 file" in err
        wall.append(time.monotonic() - begun)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    assert min(used if busy else wall) < 5


def test_a_closed_pipe_is_no_error(filled: Lakehouse, tmp_path: Path) -> None:
    process = launched(["sql", "SELECT * FROM range(3000000) AS r(n)"], tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "n\n"
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()

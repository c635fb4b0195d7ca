"""Bringing data in: init, ingest, rejects, formats."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from lakehouse.quality import load_rules
from lakehouse.synth import tutorial
from tests.cli.commands import ADMISSION, Lakehouse, launched


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
    assert "patients,3" in ran.out


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
    assert "patients,3" in ran.out


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
        assert "patients,3" in lakehouse("tables", *named).out

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

    assert [line.split(",")[:5] for line in filled("rejects").out.splitlines()] == [
        ["level", "rule", "location", "n", "files"],
        ["record", "hl7v2.msh.type-required", "MSH-9", "1", "1"],
        ["row", "hl7v2.dg1.code-required", "DG1-3", "1", "1"],
    ]
    said = filled("rejects").err
    assert "Not stored: 1 record, 1 row. --replay PATH tries them again" in said
    assert "Also 1 warning: --warnings lists them." in said
    assert "warning,hl7v2.msh.control-id,MSH-10,1,1" in filled("rejects", "--warnings").out
    assert conformance("hl7v2.msh.type-required") == "5,1,80.0"
    size = sum(f.stat().st_size for f in feeds.iterdir())
    assert figures().splitlines()[1] == f"{size},4,2"
    assert "No rejected record" in filled("rejects", "--replay", str(feeds)).err

    mended = ("hl7v2.msh.type-required", "hl7v2.dg1.code-required")
    kept = tuple(r for r in load_rules("hl7v2") if r.id not in mended)
    monkeypatch.setattr(import_module("lakehouse.quality.validate"), "load_rules", lambda _: kept)
    assert "Stored 1 record." in filled("rejects", "--replay", str(feeds)).err
    assert filled("rejects").out == "level,rule,location,n,files,message\n"
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
    assert "\nfile,file.not-recognised,,1,1," in rejects.out
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


def test_unknown_files_are_told_by_kind_and_listed_where_that_is_asked_for(
    lakehouse: Lakehouse, feeds: Path, tmp_path: Path
) -> None:
    """Never a name or a piece of the content; a list tells more, to the person who asked for it."""
    for n in range(3):
        text = f'{{"resourceType": "Patient", "id": "DOE{n}"}}'
        (feeds / f"DOE_JANE{n}.hl7").write_text(text)
    (feeds / "DOE_JANE.dcm").write_text("id,name\n1,DOE\n")
    ran = lakehouse("ingest", "feeds")
    said = " ".join(ran.err.split())
    assert "Of no known format: 4 files at or below feeds." in said
    assert "By content, 3 look like FHIR, 1 like CSV." in said
    assert "--list-unknown FILE writes which they are." in said
    again = lakehouse("ingest", "feeds", "--list-unknown", "unknown [1].csv")
    assert "Wrote 4 paths to unknown [1].csv, which only you can read." in again.err
    assert "DOE" not in ran.out + ran.err + again.out + again.err
    listed = (tmp_path / "unknown [1].csv").read_text()
    assert f"CSV,{feeds}/DOE_JANE.dcm," in listed
    assert (ran.code, again.code) == (0, 0)
    one = lakehouse("ingest", "feeds/DOE_JANE.dcm")
    assert "By content, 1 looks like CSV." in one.err


def test_an_ingest_of_nothing_that_is_known_ends_with_3(
    lakehouse: Lakehouse, feeds: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.pdf").write_bytes(b"%PDF-1.7")
    for arguments, code in (
        (["other"], 3),
        (["other", "--json"], 3),
        (["other", "--format", "hl7v2"], 3),
        (["other", "feeds"], 0),
        (["other", "feeds"], 0),
        (["other"], 3),
        (["feeds"], 0),
    ):
        assert lakehouse("ingest", *arguments).code == code, arguments


def test_a_list_of_unknown_files_in_a_wrong_place_makes_no_warehouse(
    lakehouse: Lakehouse, feeds: Path, tmp_path: Path
) -> None:
    for place in ("warehouse/unknown.csv", "nowhere/unknown.csv"):
        ran = lakehouse("ingest", "feeds", "--list-unknown", place)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        assert "unknown.csv" in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["feeds"]


def test_what_no_mapping_names_is_told_by_name_and_number(
    lakehouse: Lakehouse, feeds: Path
) -> None:
    names = ["NK1"] * 3 + ["NTE", "ZBE", "ZBE", "DOE", "ZXA", "ZXB", "ZXC", "ZXD", "ZXE", "ZXF"]
    text = ADMISSION.format(control="C8", number="100008")
    (feeds / "8.hl7").write_text(text + "".join(f"{n}|1|SECRET\r" for n in names), newline="")
    ran = lakehouse("ingest", "feeds")
    said = " ".join(ran.err.split())
    assert "Not mapped: NK1 3, ZBE 2, NTE 1," in said
    assert "and 2 more. See lakehouse unmapped." in said
    (feeds / "9.hl7").write_text(text.replace("C8", "C9") + "NK1|1\r" * 1234, newline="")
    assert "Not mapped: NK1 1,234. See" in " ".join(lakehouse("ingest", "feeds").err.split())
    told = lakehouse("unmapped")
    assert told.out.splitlines()[:3] == ["format,name,n,files", "hl7v2,NK1,1237,2", "hl7v2,ZBE,2,1"]
    assert "unknown segment,1,1" in told.out
    assert "DOE" not in ran.err + told.out and "SECRET" not in ran.err + told.out
    assert {row["name"]: row["n"] for row in json.loads(lakehouse("unmapped", "--json").out)}[
        "ZXF"
    ] == 1


def test_where_all_is_mapped_that_is_said(filled: Lakehouse) -> None:
    ran = filled("unmapped")
    assert (ran.out, ran.err) == ("format,name,n,files\n", "All of it is mapped.\n")


def test_formats(lakehouse: Lakehouse) -> None:
    assert "hl7v2," in lakehouse("formats").out


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

"""Keeping a warehouse: release, verify, maintain, forget."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.cli.commands import ADMISSION, Lakehouse


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
    assert "patients,1,0" in filled("release", "--diff", "2026-q1", "2026-q2").out
    assert filled("release", "2026-q1", "--drop").code == 0
    assert filled("sql", query, "--as-of", "2026-q1").code == 2
    assert filled("release", "--drop").code == 2


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
    assert "patients,3,1" in dry.out
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
    assert "patients,1" in ran.out
    assert "100001" not in ran.out + ran.err
    assert filled("sql", "SELECT count(*) AS n FROM patients").out == "n\n2\n"
    filled("ingest", str(feeds))
    assert filled("sql", "SELECT count(*) AS n FROM patients").out == "n\n2\n"
    assert filled("forget", *who, "--yes").code == 2

"""Cohorts on the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands import Lakehouse


def test_a_cohort_is_built_saved_and_compared(filled: Lakehouse, tmp_path: Path) -> None:
    asked = ["--sex", "female", "--age", "18-75", "--without", "condition=E11"]
    ran = filled("cohort", "women", *asked, "--save", "--svg", "women.svg", "-o", "women.csv")
    assert ran.code == 0, ran.err
    assert "0,all patients,3,0" in ran.out
    assert (tmp_path / "warehouse" / "cohorts" / "women.json").exists()
    assert (tmp_path / "women.svg").exists()
    assert (tmp_path / "women.csv").read_text().count("\n") == 4
    assert filled("cohort").out == "cohort\nwomen\n"
    assert "all patients,3" in filled("cohort", "women").out
    assert "Nothing changed" in filled("cohort", "women", "--diff").err
    assert "SELECT" in filled("cohort", "women", "--sql").out
    assert "saved cohort" in filled("cohort", "wemen").err
    assert filled("cohort", "x", "--lab", "4548-4 6.5").code == 2
    assert filled("cohort", "x", "--lab", "hba1c>=6.5", "--race", "2106-3").code == 0
    assert filled("cohort", "x", "--ethnicity", "H", "--vital", "gcs<15").code == 0
    assert filled("cohort", "x", "--age", "old").code == 2

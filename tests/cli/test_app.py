"""What all commands share: help, versions, and mistakes in one line."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from lakehouse.cli.app import app
from tests.cli.commands import Lakehouse


def commands() -> list[str]:
    return sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


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


def test_version(lakehouse: Lakehouse) -> None:
    out = lakehouse("version").out
    assert "clinical-lakehouse," in out
    assert "duckdb,1.5.5" in out


def test_a_wrong_option_is_one_line(lakehouse: Lakehouse) -> None:
    for arguments in (["sql", "--fromat", "csv"], ["sqll"], ["init", "--buckets", "x"]):
        ran = lakehouse(*arguments)
        assert ran.code == 2
        assert ran.err.count("\n") == 1
        assert "--help" in ran.err


@pytest.fixture
def warehouses(lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> Lakehouse:
    """Three empty warehouses, told apart by a release of the same name; the environment says C."""
    for name in "ABC":
        lakehouse("init", name)
        lakehouse("release", f"of-{name}".lower(), "-w", name)
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", "C")
    return lakehouse


def test_the_warehouse_is_named_after_the_command_before_it_or_by_environment(
    warehouses: Lakehouse,
) -> None:
    for arguments, name in (
        (["release"], "c"),
        (["-w", "A", "release"], "a"),
        (["--warehouse", "A", "release", "--warehouse", "B"], "b"),
        (["release", "-w", "B"], "b"),
        (["release", "-w", "C"], "c"),
    ):
        assert [r["release"] for r in json.loads(warehouses(*arguments, "--json").out)] == [
            f"of-{name}"
        ], arguments
    ran = warehouses("-w", "nowhere", "sql", "SELECT 1")
    assert (ran.code, "There is no warehouse in" in ran.err) == (2, True)


def test_a_warehouse_before_a_command_below_a_command(lakehouse: Lakehouse, feeds: Path) -> None:
    ran = lakehouse("-w", "nowhere", "export", "dicom", "feeds", "copies")
    assert (ran.code, "nowhere" in ran.err) == (2, True)


def test_what_was_named_before_one_command_is_forgotten_at_the_next(
    warehouses: Lakehouse,
) -> None:
    assert "of-a" in warehouses("-w", "A", "release").out
    assert "of-c" in warehouses("release").out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lakehouse --ware", "--warehouse"),
        ("lakehouse tables --js", "--json"),
        ("lakehouse unm", "unmapped"),
        ("lakehouse ingest --list", "--list-unknown"),
    ],
)
def test_a_shell_completes(typed: str, offered: str) -> None:
    words = typed.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", "from lakehouse.cli import main; main()"],
        env=os.environ
        | {
            "_LAKEHOUSE_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert offered in done.stdout.split(), done.stderr

"""README says what is true: its lists, its commands, its files."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lists_of_tables_and_views_are_current() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "readme.py"))["written"]
    assert written(TEXT) == TEXT, "run scripts/readme"


def block(language: str) -> str:
    """Return the code of the five minutes in one language."""
    tour = TEXT.partition("## Five minutes")[2]
    return tour.partition(f"```{language}\n")[2].partition("```")[0]


def test_the_five_minutes_run_as_written_and_in_order(tmp_path: Path) -> None:
    """Every command and then the Python, on a smaller hospital than the default one."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    environment.pop("LAKEHOUSE_KEY_FILE", None)

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    lines = block("").splitlines()
    assert lines[0].startswith("pip install")
    for line in lines[1:]:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "lakehouse"
        if arguments[0] == "synth":
            arguments += ["--patients", "12", "--years", "1"]
        run("-m", "lakehouse.cli", *arguments)
    report = "print(report.ingest_id, report.n_known > 0)"
    assert run("-c", f"{block('python')}\n{report}") == "None True\n"
    assert (tmp_path / "report.html").exists()
    assert any((tmp_path / "research").rglob("*.dcm"))


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:tests|scripts|lakehouse)/[\w./]+)`", TEXT)))
)
def test_every_path_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


PROMISES = TEXT.partition("## What is promised")[2].partition("\n## ")[0]


@pytest.mark.parametrize("proof", sorted(set(re.findall(r"`(tests/[^`]+)`", PROMISES))))
def test_every_proof_is_a_test_that_ci_collects(proof: str) -> None:
    path, _, name = proof.partition("::")
    place = ROOT / path
    if place.name != "views":  # cases, which a test beside it runs
        files = [place] if place.is_file() else sorted(place.rglob("test_*.py"))
        names = [n.name for f in files for n in ast.parse(f.read_text()).body if _is_test(n)]
        assert names
        assert all(f.name.startswith("test_") for f in files)
        assert not name or name in names


def _is_test(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def test_every_promise_has_a_proof() -> None:
    rows = [line for line in PROMISES.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert [row for row in rows if "`tests/" not in row.rsplit(" | ", 1)[-1]] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"lakehouse\.(\w+)\(", TEXT))))
def test_every_python_call_is_public(name: str) -> None:
    import lakehouse

    assert callable(getattr(lakehouse, name))


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"^lakehouse (\w+)", TEXT, re.MULTILINE)))
)
def test_every_command_exists(command: str) -> None:
    from typer.testing import CliRunner

    from lakehouse.cli import app

    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0

"""README says what is true: its lists, its commands, its files."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

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

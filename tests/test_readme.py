"""README says what is true: its lists, its commands, its files."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lists_of_tables_and_views_are_current() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "readme.py"))["written"]
    assert written(TEXT) == TEXT, "run scripts/readme"


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

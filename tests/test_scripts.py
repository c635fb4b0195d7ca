"""The scripts: short, executable, and whole."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(
    p
    for p in (ROOT / "scripts").iterdir()
    if p.is_file() and not p.suffix and p.name != "Dockerfile"
)


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci" / "run"], ids=lambda p: p.name)
def test_bash_can_read_it(script):
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(script.read_text().splitlines()) <= 120


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci" / "run"], ids=lambda p: p.name)
def test_it_is_executable_unless_it_is_only_sourced(script):
    assert os.access(script, os.X_OK) == script.read_text().startswith("#!")


def test_the_four_named_scripts_exist():
    assert {"bench", "check", "demo", "test"} <= {p.name for p in SCRIPTS}


def test_ci_runs_both_check_and_every_test():
    text = (ROOT / ".ci" / "run").read_text()
    assert "bash scripts/check" in text
    alone = "tests/storage/test_soak.py"
    assert f"bash scripts/test --ignore {alone}\n" in text, "all tests, the slow ones as well"
    assert f"bash scripts/test -n 0 {alone}\n" in text


def test_the_hook_before_a_commit_runs_check_and_downloads_nothing():
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert "entry: scripts/check" in text and "repo: local" in text
    assert text.count("repo:") == 1 and "://" not in text

"""A configuration that pyiceberg cannot read is told in one line, and quoted nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = {
    "no block style": b"catalog:\n  a: [SECRET\n",
    "no mapping": b"SECRET\n",
    "empty": b"",
    "no text": b"\xff\xfeSECRET",
    "no catalogs": b"catalog: SECRET\n",
    "twice": b"catalog:\n  a:\n    uri: SECRET\n    uri: SECRET\n",
}


def run(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from lakehouse.cli import main; raise SystemExit(main())", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=os.environ | {"PYICEBERG_HOME": str(home), "XDG_CONFIG_HOME": str(home)} | variables,
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_at_fault_is_one_line(tmp_path: Path, fault: str) -> None:
    (tmp_path / ".pyiceberg.yaml").write_bytes(FAULTS[fault])
    done = run(tmp_path, "init", "warehouse")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"pyiceberg cannot read its configuration ({tmp_path}/.pyiceberg.yaml" in done.stderr
    assert "SECRET" not in done.stderr
    assert not (tmp_path / "warehouse").exists()


def test_a_variable_that_contradicts_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".pyiceberg.yaml").write_text("catalog:\n  a: text\n")
    done = run(tmp_path, "init", "warehouse", PYICEBERG_CATALOG__A__URI="SECRET")
    assert done.returncode == 2
    assert "no variable PYICEBERG_CATALOG__" in done.stderr
    assert "SECRET" not in done.stderr


def test_a_catalog_without_properties_is_told(tmp_path: Path) -> None:
    (tmp_path / ".pyiceberg.yaml").write_text("catalog:\n  a: SECRET\n")
    done = run(tmp_path, "init", "warehouse", "--catalog", "a")
    assert done.returncode == 2
    assert "The catalog a is no list of properties in .pyiceberg.yaml." in done.stderr
    assert "SECRET" not in done.stderr


def test_a_sound_file_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".pyiceberg.yaml").write_text("catalog:\n  a:\n    type: sql\n")
    assert run(tmp_path, "init", "warehouse").returncode == 0

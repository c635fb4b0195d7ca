"""The command ``lakehouse`` in a folder and home of its own, with and without data."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.cli import run
from tests.cli.commands import ADMISSION, Lakehouse, Ran


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

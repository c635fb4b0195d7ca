"""What a person's own Ray program is told before a task starts, and what an editor sees."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from lakehouse.engines.ray import public
from lakehouse.errors import UserError
from lakehouse.formats import formats, public_name
from lakehouse.privacy.keys.secret import Secret

FEED = "MSH|^~\\&|A|B|C|D|20240501||ADT^A01|1|P|2.5\rPID|1||7^^^H^MR\r"

SHIPPED = {
    f"{public_name(name)}Datasource"
    for name, known in formats().items()
    if type(known).__module__.startswith("lakehouse.")
}


@pytest.fixture
def feed(tmp_path: Path, secret: Secret) -> Path:
    """A feed of one message, and the key in the environment."""
    (tmp_path / "a.hl7").write_text(FEED)
    return tmp_path / "a.hl7"


def test_the_call_of_the_tutorial_says_how_it_is_written_here() -> None:
    import ray

    with pytest.raises(UserError) as caught:
        ray.data.read_datasource(lakehouse.HL7Datasource(), paths=["feeds"])
    assert str(caught.value) == (
        "HL7Datasource takes the files to read itself. "
        "Write: ray.data.read_datasource(HL7Datasource(paths))"
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"paths": "nowhere"}, "nowhere does not exist"),
        ({"paths": []}, "takes the files to read itself"),
        ({"time_zone": "Europe/Berlinn"}, "no time zone named Europe/Berlinn. Did you mean"),
        ({"table": "observation"}, "no table named observation. Did you mean observations"),
        ({"profile": "safe"}, "no profile named safe"),
        ({"key_file": "nowhere.key"}, "nowhere.key"),
        ({"warehouse": "nowhere"}, "There is no warehouse in"),
        ({"mappings": ["nowhere"]}, "The mappings folder nowhere does not exist"),
        ({"codes": ["codes"]}, "local_codes.csv lacks a column"),
    ],
)
def test_a_fault_is_told_where_the_datasource_is_made(
    feed: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(feed.parent)
    Path("codes").mkdir()
    Path("codes", "local_codes.csv").write_text("code,display\nX,Y\n")
    lakehouse.HL7Datasource(feed)
    with pytest.raises(UserError) as caught:
        lakehouse.HL7Datasource(**{"paths": feed, **options})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_told_where_the_datasource_is_made(
    feed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAKEHOUSE_KEY_FILE")
    with pytest.raises(UserError, match="LAKEHOUSE_KEY_FILE"):
        lakehouse.HL7Datasource(feed)


def test_a_mapping_that_is_no_toml_is_told_where_the_datasource_is_made(feed: Path) -> None:
    folder = feed.parent / "site"
    folder.mkdir()
    (folder / "contacts.toml").write_text("table = 1\nthis is no TOML")
    with pytest.raises(UserError, match=r"contacts\.toml"):
        lakehouse.HL7Datasource(feed, mappings=[str(folder)])


def test_a_format_that_is_none_names_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"There is no HL8Datasource\. Did you mean HL7Data"):
        lakehouse.HL8Datasource  # noqa: B018
    with pytest.raises(AttributeError, match="DICOMDatasource"):
        lakehouse.XyzzyDatasource  # noqa: B018


def test_every_shipped_format_counts_messages_or_objects() -> None:
    for name in SHIPPED:
        assert public.datasource(name).format.main_table == "records"


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_person_sees_signature_and_words(name: str) -> None:
    cls = getattr(lakehouse, name)
    assert {"paths", "table", "warehouse", "time_zone"} <= inspect.signature(cls).parameters.keys()
    assert cls.format.doc.rstrip(".") in cls.__doc__
    assert "Args:" in cls.__doc__


def test_every_shipped_format_is_declared_for_editors() -> None:
    """Types are read without running anything: a class made at run time is none for an editor."""
    tree = ast.parse(Path(str(public.__file__)).read_text())
    blocks = [n for n in tree.body if isinstance(n, ast.If)]
    classes = [n for block in blocks for n in block.body if isinstance(n, ast.ClassDef)]
    assert {c.name for c in classes} == SHIPPED
    assert all(ast.get_docstring(c) for c in classes)
    exported = ast.parse(Path(str(lakehouse.__file__)).read_text())
    names = {a.asname for n in ast.walk(exported) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert names >= SHIPPED


@pytest.mark.slow
def test_mypy_knows_the_arguments(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "import lakehouse\n"
        'lakehouse.HL7Datasource("feeds", table="records", time_zone="UTC")\n'
        'lakehouse.DICOMDatasource("scans", table=7)\n'
        'lakehouse.HL7Datasource("feeds", zone="UTC")\n'
    )
    root = Path(str(lakehouse.__file__)).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", tmp_path / "use.py"],
        cwd=root,
        env={**os.environ, "MYPYPATH": str(root)},
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stdout.splitlines() if "use.py" in line and "error" in line]
    assert len(said) == 2, done.stdout + done.stderr
    assert 'use.py:3: error: Argument "table"' in said[0]
    assert 'use.py:4: error: Unexpected keyword argument "zone"' in said[1]

"""The public names: all there, all described, and none loads what it does not need."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import lakehouse


@pytest.mark.parametrize("name", lakehouse.__all__)
def test_a_public_name_exists_and_is_described(name: str) -> None:
    found = getattr(lakehouse, name)
    assert inspect.getdoc(found)
    assert name in dir(lakehouse)


def test_a_star_import_brings_the_datasources_too() -> None:
    script = "from lakehouse import *\nprint(HL7Datasource.__name__, DICOMDatasource.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "HL7Datasource DICOMDatasource\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        lakehouse.opne  # noqa: B018


HEAVY = ("duckdb", "pyiceberg", "ray", "pyarrow", "pandas", "sqlglot", "pydicom")


def loaded_after(code: str) -> set[str]:
    """Return the heavy libraries that a fresh interpreter has loaded after some code."""
    script = f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import lakehouse", set()),
        ("import lakehouse.cli", set()),
        ("import lakehouse\nlakehouse.open", {"duckdb", "sqlglot", "pyarrow"}),
        ("import lakehouse\nlakehouse.ingest", {"pyiceberg", "pyarrow", "pandas"}),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str, allowed: set[str]) -> None:
    assert loaded_after(code) <= allowed

"""Who imports whom: each floor stands on the ones below it, and each library has one wing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lakehouse"

FLOORS = [
    {"errors", "resources"},
    {
        "archives",
        "batch",
        "codesystems",
        "tables",
        "content",
        "farfile",
        "inputfile",
        "longlist",
        "reports",
    },
    {"formats", "quality", "privacy", "storage", "synth"},
    {
        "discover",
        "identify",
        "memory",
        "reading",
        "progress",
        "packing",
        "parsed",
        "sealed",
        "tombstones",
        "work",
        "writing",
        "ingest",
        "init",
        "replay",
    },
    {"engines", "export", "query", "verify", "forget"},
    {"cli", "doors"},
]
"""From the ground up. Modules of one floor that are helpers of each other may import each other,
in no circle; wings (floors 2 and 4) may not."""

WINGS = (2, 4)

OWNERS = {
    "pyiceberg": "storage",
    "sqlalchemy": "storage",
    "duckdb": "query",
    "sqlglot": "query",
    "ray": "engines/ray",
    "pydicom": ("formats/dicom", "export"),
    "typer": "cli",
}
"""The one place that may import a library."""

modules = sorted(PACKAGE.rglob("*.py"))


def top(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def floor(name: str) -> int:
    return next(i for i, names in enumerate(FLOORS) if name in names)


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of what a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "lakehouse":
            yield from (f"lakehouse.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def ours(path: Path) -> set[str]:
    return {n.split(".")[1] for n in imported(path) if n.startswith("lakehouse.")} - {top(path)}


def test_every_module_has_a_floor() -> None:
    known = set().union(*FLOORS) | {"__init__"}
    assert {top(m) for m in modules} <= known, "give the new module a floor in FLOORS"


@pytest.mark.parametrize(
    "path", [m for m in modules if top(m) != "__init__"], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_a_module_imports_only_what_lies_below(path: Path) -> None:
    own = floor(top(path))
    for name in ours(path):
        assert name != "open", "the public door is for outsiders"
        below = floor(name) < own or (floor(name) == own and own not in WINGS)
        assert below, f"{path.relative_to(PACKAGE)} (floor {own}) imports {name}"


def test_there_is_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in modules:
        if top(path) != "__init__":
            graph.setdefault(top(path), set()).update(ours(path))
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_known_in_one_place(library: str) -> None:
    users = {
        str(path.relative_to(PACKAGE).with_suffix(""))
        for path in modules
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert users, f"nobody imports {library}"
    strangers = {u for u in users if not u.startswith(OWNERS[library])}
    assert not strangers


def test_no_module_is_long() -> None:
    lengths = {str(p.relative_to(PACKAGE)): len(p.read_text().splitlines()) for p in modules}
    assert not {name: n for name, n in lengths.items() if n >= 400}

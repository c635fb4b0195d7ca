"""Who imports whom: each room stands on the ones below it, and each library has one place."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

PICTURE = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "rooms.py"))
MODULES = {name: m for name, m in PICTURE["read_modules"]().items() if name != "lakehouse"}

ROOMS = {
    "": [
        "errors",
        "definitions",
        "arrays",
        "identifiers",
        "batch",
        "synth",
        "quality",
        "privacy",
        "formats",
        "storage",
        "sources",
        "pipeline",
        "engines",
        "export",
        "verification",
        "query",
        "cli",
    ],
    "privacy": ["columns", "keys", "identity", "rules", "deidentify"],
    "formats": ["mapping", "binding", "hl7v2", "dicom"],
    "storage": [
        "io",
        "metadata",
        "warehouse",
        "commits",
        "transactions",
        "maintenance",
    ],
    "query": [
        "errors",
        "excel",
        "result",
        "views",
        "svg",
        "connection",
        "disclosure",
        "cohorts",
        "lakehouse",
    ],
}
"""From the ground up: what a room has below it is what it may import."""

APART = [
    {"synth", "quality", "privacy", "formats", "storage"},
    {"engines", "export", "verification", "query"},
    {"formats.hl7v2", "formats.dicom"},
]
"""Rooms side by side, which know nothing of each other."""

OWNERS = {
    "pyiceberg": "storage",
    "sqlalchemy": "storage",
    "duckdb": "query",
    "sqlglot": "query",
    "ray": "engines.ray",
    "pydicom": ("formats.dicom", "export"),
    "typer": "cli",
}
"""The one place that may import a library."""


def rooms_below(path: str) -> set[str]:
    """The rooms and files that lie right in a room."""
    prefix = f"lakehouse.{path}." if path else "lakehouse."
    return {m.removeprefix(prefix).split(".")[0] for m in MODULES if m.startswith(prefix)}


@pytest.mark.parametrize("path", ROOMS)
def test_every_room_has_its_place(path: str) -> None:
    missing = rooms_below(path) - set(ROOMS[path])
    assert not missing, f"give {sorted(missing)} a place in ROOMS[{path!r}]"


@pytest.mark.parametrize("path", ROOMS)
def test_a_room_imports_only_what_lies_below(path: str) -> None:
    depth = len(path.split(".")) + 1 if path else 1
    order = {f"{path}.{name}".lstrip("."): i for i, name in enumerate(ROOMS[path])}
    upward = {
        f"{a} -> {b}"
        for a, b in PICTURE["arrows"](MODULES, depth)
        if a in order and b in order and order[a] < order[b]
    }
    assert not upward


@pytest.mark.parametrize("side", APART, ids=lambda side: ", ".join(sorted(side)))
def test_rooms_side_by_side_know_nothing_of_each_other(side: set[str]) -> None:
    depth = len(next(iter(side)).split("."))
    between = {
        f"{a} -> {b}" for a, b in PICTURE["arrows"](MODULES, depth) if a in side and b in side
    }
    assert not between


def test_there_is_no_circle_between_files() -> None:
    assert not PICTURE["circle"](MODULES)


def test_no_module_imports_the_public_door() -> None:
    assert not {m.name for m in MODULES.values() if "lakehouse" in m.ours}


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_known_in_one_place(library: str) -> None:
    users = {m.name.removeprefix("lakehouse.") for m in MODULES.values() if library in m.others}
    assert users, f"nobody imports {library}"
    assert not {u for u in users if not u.startswith(OWNERS[library])}


def test_no_module_is_called_like_a_public_function() -> None:
    import lakehouse

    assert not rooms_below("") & set(lakehouse.__all__)


def test_no_module_is_long() -> None:
    assert not {name: m.lines for name, m in MODULES.items() if m.lines >= 400}

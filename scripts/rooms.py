"""The picture of imports: rooms, arrows between them, circles between files, the largest module.

``tests/test_floors.py`` holds the code to the order of rooms and reads its imports from here.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "lakehouse"

ROOT = "lakehouse"


@dataclass(frozen=True)
class Module:
    """One file of the package.

    Attributes:
        name: As it is imported (``lakehouse.storage.io.files``).
        lines: Its length.
        ours: Modules of the package that it imports, also inside functions.
        others: Libraries that it imports, by their top-level name.
    """

    name: str
    lines: int
    ours: frozenset[str]
    others: frozenset[str]

    def room(self, depth: int) -> str:
        """Return the room it lies in: its path without the package, cut off after some names."""
        return room_of(self.name, depth)


def room_of(name: str, depth: int) -> str:
    """Return the room of a module's name.

    Examples:
        >>> room_of("lakehouse.storage.io.files", 1), room_of("lakehouse.storage.io.files", 2)
        ('storage', 'storage.io')
    """
    return ".".join(name.split(".")[1 : depth + 1])


def read_modules(package: Path = PACKAGE) -> dict[str, Module]:
    """Return every module of the package by name; each file is parsed once."""
    paths = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        paths[".".join((ROOT, *parts)).removesuffix(".__init__")] = path
    modules = {}
    for name, path in paths.items():
        text = path.read_text(encoding="utf-8")
        imported = _imported(ast.parse(text))
        ours = {m for m in (_module(i, paths) for i in imported if _is_ours(i)) if m}
        others = {i.split(".")[0] for i in imported if not _is_ours(i)}
        modules[name] = Module(
            name, len(text.splitlines()), frozenset(ours - {name}), frozenset(others)
        )
    return modules


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == ROOT


def _imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _module(name: str, known: Mapping[str, Path]) -> str:
    """Return the module that an imported name is, or comes from."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def arrows(modules: Mapping[str, Module], depth: int) -> Counter[tuple[str, str]]:
    """Return how many imports lead from one room to another."""
    return Counter(
        (module.room(depth), room_of(other, depth))
        for module in modules.values()
        for other in module.ours
        if ROOT not in (module.name, other) and module.room(depth) != room_of(other, depth)
    )


def circle(modules: Mapping[str, Module]) -> list[str]:
    """Return the files of one circle of imports, or nothing when there is none."""
    try:
        TopologicalSorter({m.name: m.ours for m in modules.values()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def main() -> None:
    """Print the picture, down to the depth given (1 is the top floor)."""
    depth = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    modules = read_modules()
    rooms = sorted({m.room(depth) for m in modules.values() if m.name != ROOT})
    between = arrows(modules, depth)
    for room in rooms:
        inside = [m for m in modules.values() if m.name != ROOT and m.room(depth) == room]
        targets = ", ".join(f"{b} {n}" for (a, b), n in sorted(between.items()) if a == room)
        lines = sum(m.lines for m in inside)
        print(f"{room:28} {len(inside):3} files {lines:6,} lines  -> {targets or '-'}")
    largest = max(modules.values(), key=lambda m: m.lines)
    print(
        f"\n{len(rooms)} rooms, {len(between)} arrows between them, {sum(between.values())} imports"
    )
    print("Circle between files:", " -> ".join(circle(modules)) or "none")
    print(f"Largest module: {largest.name}, {largest.lines} lines")


if __name__ == "__main__":
    main()

"""The lists of tables and views in the guides, made from their definitions."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from lakehouse.definitions.tables import load_tables
from lakehouse.query.views.library import load_views

ROOT = Path(__file__).parents[1]


def tables() -> str:
    """Return the list of tables."""
    lines = ["| table | a row is |", "|---|---|"]
    lines += [f"| `{t.name}` | {t.doc} |" for t in load_tables().values()]
    return "\n".join(lines)


def views() -> str:
    """Return the list of views, a table for each topic."""
    parts = []
    ordered = sorted(load_views().values(), key=lambda v: (v.topic, v.name))
    for topic, group in groupby(ordered, key=lambda v: v.topic):
        lines = [f"### {topic}\n", "| view | shows | one row per |", "|---|---|---|"]
        for view in group:
            name = f"`{view.name}`" + ("*" if view.requires else "")
            lines.append(f"| {name} | {view.title} | {', '.join(view.grain)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


LISTS: dict[str, tuple[Path, Callable[[], str]]] = {
    "tables": (ROOT / "catalog" / "README.md", tables),
    "views": (ROOT / "sql" / "README.md", views),
}
"""Each list with the guide that holds it, between ``<!-- NAME: ... -->`` and ``<!-- end -->``."""


def written(name: str, text: str) -> str:
    """Return a guide's text with one list as it should be."""
    pattern = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end -->)"
    body = LISTS[name][1]()
    return re.sub(pattern, lambda m: f"{m[1]}{body}\n{m[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    for name, (guide, _) in LISTS.items():
        guide.write_text(written(name, guide.read_text(encoding="utf-8")), encoding="utf-8")

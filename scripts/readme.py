"""The lists of tables and views in README.md, made from their definitions."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from lakehouse.definitions.tables import load_tables
from lakehouse.query.views.library import load_views

README = Path(__file__).parents[1] / "README.md"


def tables() -> str:
    """Return the list of tables."""
    lines = ["| table | a row is |", "|---|---|"]
    lines += [f"| `{t.name}` | {t.doc} |" for t in load_tables().values()]
    return "\n".join(lines)


def views() -> str:
    """Return the list of views by topic."""
    lines = []
    ordered = sorted(load_views().values(), key=lambda v: (v.topic, v.name))
    for topic, group in groupby(ordered, key=lambda v: v.topic):
        names = ", ".join(f"`{v.name}`" + ("*" if v.requires else "") for v in group)
        lines.append(f"- **{topic}**: {names}")
    lines.append("\nViews with * compare patients in time and exist under `limited` only.")
    return "\n".join(lines)


def written(text: str) -> str:
    """Return README's text with both lists as they should be."""
    for name, body in (("tables", tables()), ("views", views())):
        pattern = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda m, b=body: f"{m[1]}{b}\n{m[2]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")

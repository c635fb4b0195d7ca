"""Draws column lineage and cohort attrition as SVG, without a drawing library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from lakehouse.query.views.lineage import Origin

FONT = "font-family='ui-sans-serif, Helvetica, Arial, sans-serif'"
ROW, WIDTH, GAP, HEIGHT, MARGIN = 40, 250, 70, 30, 20

KINDS = {"view": "#e8f0fe", "table": "#e6f4ea", "codes": "#fef7e0"}
"""Fill colour of a box by the kind of its relation."""


def lineage_svg(origin: Origin, tables: Mapping[str, object]) -> str:
    """Return a picture of a lineage: the column on the left, tables on the right.

    Args:
        origin: The lineage.
        tables: Tables by name, drawn in a colour of their own.
    """
    depth = _depths(origin)
    columns: dict[int, list[str]] = {}
    for name, level in depth.items():
        columns.setdefault(level, []).append(name)
    place = {
        name: (MARGIN + level * (WIDTH + GAP), MARGIN + row * ROW)
        for level, names in columns.items()
        for row, name in enumerate(names)
    }
    nodes = {node.name: node for node in origin.walk()}
    parts = [
        _curve(place[name], place[each.name])
        for name, node in nodes.items()
        for each in node.inputs
    ]
    for name, node in nodes.items():
        kind = "codes" if name.startswith("codes.") else "view"
        parts.append(
            _box(place[name], name, node.doc, KINDS["table" if node.relation in tables else kind])
        )
    width = (max(columns) + 1) * (WIDTH + GAP) - GAP + 2 * MARGIN
    height = max(len(names) for names in columns.values()) * ROW + 2 * MARGIN
    return _svg(width, height, parts, f"Where {origin.name} comes from")


def _depths(origin: Origin) -> dict[str, int]:
    """Return the greatest distance of each column from the first."""
    depth: dict[str, int] = {}

    def visit(node: Origin, level: int) -> None:
        if depth.get(node.name, -1) >= level:
            return
        depth[node.name] = level
        for each in node.inputs:
            visit(each, level + 1)

    visit(origin, 0)
    return depth


def _box(at: tuple[int, int], text: str, tip: str, fill: str) -> str:
    x, y = at
    shown = text if len(text) <= 38 else f"{text[:37]}…"
    return (
        f"<g><title>{escape(f'{text}: {tip}' if tip else text)}</title>"
        f"<rect x='{x}' y='{y}' width='{WIDTH}' height='{HEIGHT}' rx='5' fill='{fill}' "
        f"stroke='#9aa0a6'/>"
        f"<text x='{x + 10}' y='{y + 20}' font-size='12' {FONT}>{escape(shown)}</text></g>"
    )


def _curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + WIDTH, start[1] + HEIGHT // 2
    x2, y2 = end[0], end[1] + HEIGHT // 2
    middle = (x1 + x2) // 2
    return (
        f"<path d='M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}' fill='none' "
        "stroke='#9aa0a6'/>"
    )


def attrition_svg(title: str, steps: Sequence[tuple[str, int]]) -> str:
    """Return a picture of a cohort's attrition: how many patients each step leaves.

    Args:
        title: Name of the cohort.
        steps: The criterion of each step, and how many patients remain.
    """
    width, bar, left = 760, 300, 430
    most = max((n for _, n in steps), default=0) or 1
    heading = f"x='{MARGIN}' y='{MARGIN + 8}' font-size='15' font-weight='bold'"
    parts = [f"<text {heading} {FONT}>{escape(title)}</text>"]
    for i, (label, n) in enumerate(steps):
        y = MARGIN + 30 + i * ROW
        lost = f"  (−{steps[i - 1][1] - n:,})" if i else ""
        shown = label if len(label) <= 60 else f"{label[:59]}…"
        parts.append(
            f"<text x='{MARGIN}' y='{y + 18}' font-size='12' {FONT}>{escape(shown)}</text>"
        )
        parts.append(
            f"<rect x='{left}' y='{y}' width='{max(bar * n // most, 1)}' height='26' rx='3' "
            f"fill='{KINDS['view']}' stroke='#9aa0a6'/>"
        )
        parts.append(f"<text x='{left + 8}' y='{y + 18}' font-size='12' {FONT}>{n:,}{lost}</text>")
    return _svg(width, MARGIN * 2 + 30 + len(steps) * ROW, parts, title)


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
        f"height='{height}' role='img'><title>{escape(title)}</title>"
        f"<rect width='{width}' height='{height}' fill='white'/>{''.join(parts)}</svg>\n"
    )

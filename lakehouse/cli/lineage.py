"""Commands that explain the library: lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli import output
from lakehouse.cli.app import ASK, Json, Views, app, example


@app.command(rich_help_panel=ASK, epilog=example("lakehouse lineage news2.score --svg news2.svg"))
def lineage(
    column: Annotated[str, typer.Argument(metavar="VIEW.COLUMN", help="A column of a view.")],
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it into this file instead.")
    ] = None,
    folders: Views = None,
    as_json: Json = False,
) -> None:
    """Show where a column of a view comes from, down to the tables."""
    from lakehouse.query.views.lineage import draw_tree
    from lakehouse.query.views.lineage import lineage as follow

    origin = follow(column, tuple(folders or ()))
    if svg is None:
        if as_json:
            each = {
                o.name: (o.name, o.doc, [made.name for made in o.inputs]) for o in origin.walk()
            }
            output.table(("column", "holds", "made from"), each.values(), as_json=True)
        else:
            typer.echo(draw_tree(origin))
        return
    from lakehouse.definitions.tables import load_tables
    from lakehouse.query.svg import lineage_svg

    save(svg, lineage_svg(origin, load_tables()))


def save(path: Path, text: str) -> None:
    """Write a picture or a text to a file and say so.

    Raises:
        UserError: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise output.unwritable(path, error) from None
    output.note(f"Wrote {path}.")

"""The application object and the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="lakehouse",
    help="Medical files in, de-identified Iceberg tables and clinical SQL out.\n\n"
    "Begin with: [bold]lakehouse synth ./hospital && lakehouse ingest ./hospital && "
    "lakehouse shell[/bold]",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("clinical-lakehouse"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    warehouse: Annotated[
        str | None,
        typer.Option(
            "--warehouse",
            "-w",
            metavar="PATH",
            help="As after the command, where the same option has the last word.",
        ),
    ] = None,
) -> None:
    pass


def _warehouse(context: typer.Context, path: str) -> str:
    """Return the warehouse named after the command, else before it, else by environment."""
    source = context.get_parameter_source("warehouse")
    before = context.find_root().params.get("warehouse")
    named_after = source is not None and source.name == "COMMANDLINE"
    return path if named_after or before is None else str(before)


DATA, ASK, KEEP = "Bring data in", "Ask", "Keep"
"""Panels of ``lakehouse --help``."""

Warehouse = Annotated[
    str,
    typer.Option(
        "--warehouse",
        "-w",
        envvar="LAKEHOUSE_WAREHOUSE",
        callback=_warehouse,
        metavar="PATH",
        help="Folder or URI of the warehouse.",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="LAKEHOUSE_KEY_FILE",
        metavar="FILE",
        help="The secret; by default the one that `init` made for this warehouse.",
    ),
]
Catalog = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="A catalog of .pyiceberg.yaml; by default the warehouse's own."
    ),
]
Codes = Annotated[
    list[Path] | None,
    typer.Option("--codes", metavar="DIR", help="Folder with the site's own code sets."),
]
Views = Annotated[
    list[Path] | None,
    typer.Option("--views", metavar="DIR", help="Folder with the site's own views."),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="WHEN",
        help="Read the tables as they were: a release, a time (2026-01-31T12:00), a snapshot id.",
    ),
]

Json = Annotated[
    bool, typer.Option("--json", help="Print the rows as JSON, not as a table or CSV.")
]

DEFAULT_WAREHOUSE = "./warehouse"


def example(*commands: str) -> str:
    """Return the epilogue of a command's help: examples to copy.

    Examples:
        >>> example("lakehouse tables")
        'Example: [bold]lakehouse tables[/bold]'
    """
    return "\n\n".join(f"Example: [bold]{command}[/bold]" for command in commands)

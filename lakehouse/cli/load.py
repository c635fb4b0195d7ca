"""Commands that bring data in: init, ingest, formats, synth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli import output
from lakehouse.cli.app import (
    DATA,
    DEFAULT_WAREHOUSE,
    Catalog,
    Codes,
    Json,
    KeyFile,
    Warehouse,
    app,
    example,
)

if TYPE_CHECKING:
    from lakehouse.pipeline.create import CreatedWarehouse
    from lakehouse.pipeline.reports import IngestReport

NOTHING_RECOGNISED = 3
"""Exit code of an ingest of which no file is of a known format."""

SHOWN = 5
"""Paths, or ids of files, that are told one by one."""

SHOWN_NAMES = 8
"""Names of segments and elements, or kinds of files, that are told one by one."""

TimeZone = Annotated[str, typer.Option(metavar="NAME", help="Time zone of times that state none.")]
Authority = Annotated[
    str | None, typer.Option(help="Assigning authority of record numbers that state none.")
]
Mappings = Annotated[
    list[str] | None, typer.Option("--mappings", metavar="DIR", help="The site's own mappings.")
]


@app.command(
    rich_help_panel=DATA,
    epilog=example("lakehouse init ./research --profile limited --data-use-agreement DUA-2026-14"),
)
def init(
    path: Annotated[str | None, typer.Argument(help="Folder or URI; default: --warehouse.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="De-identification: safe_harbor (the default) or limited."
        ),
    ] = None,
    data_use_agreement: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="Needed by the profile limited.")
    ] = None,
    authority: Annotated[
        str, typer.Option(help="Assigning authority of record numbers that state none.")
    ] = "",
    buckets: Annotated[
        int, typer.Option(min=0, help="Split large tables by patient into so many buckets.")
    ] = 0,
    catalog: Catalog = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            envvar="LAKEHOUSE_KEY_FILE",
            metavar="FILE",
            help="The secret; made there when it does not exist. By default a new one of its own.",
        ),
    ] = None,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Make a warehouse, and its key."""
    from lakehouse.pipeline.create import init as init_warehouse

    made = init_warehouse(
        warehouse if path is None else path,
        profile=profile,
        data_use_agreement=data_use_agreement,
        authority=authority,
        buckets=buckets,
        catalog=catalog,
        key_file=key_file,
    )
    _say_made(made)


def _say_made(made: CreatedWarehouse) -> None:
    output.note(
        f"Made the warehouse [bold]{made.path}[/bold] (profile {made.profile}, "
        f"{made.n_tables} tables)."
    )
    if made.key_is_new:
        output.note(
            f"Made its key [bold]{made.key_file}[/bold]. Back it up apart from the warehouse: "
            "without it no later file can be joined to these patients, and with it records can be "
            "traced."
        )
    else:
        output.note(f"Its key is [bold]{made.key_file}[/bold].")


@app.command(
    rich_help_panel=DATA,
    epilog=example(
        "lakehouse ingest ./feeds ./images/*.zip --engine ray",
        "lakehouse ingest ./export --list-unknown unknown.csv",
    ),
)
def ingest(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders, globs or URIs.")
    ],
    engine: Annotated[
        str, typer.Option(help="local, ray, or auto: ray for large inputs.")
    ] = "auto",
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="A running Ray cluster.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Read every file as this format.")
    ] = None,
    time_zone: TimeZone = "UTC",
    authority: Authority = None,
    mappings: Mappings = None,
    codes: Codes = None,
    catalog: Catalog = None,
    key_file: KeyFile = None,
    list_unknown: Annotated[
        Path | None,
        typer.Option(
            "--list-unknown",
            metavar="FILE",
            help="Write the paths of files of no known format, with what they look like, as CSV.",
        ),
    ] = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """De-identify medical files and add them to the warehouse, made if there is none.

    Running it again with the same files changes nothing. Exit code 3: nothing of the input is of
    a known format.
    """
    from rich.markup import escape

    from lakehouse.pipeline.ingest import ingest as run
    from lakehouse.pipeline.steps import check_options
    from lakehouse.pipeline.unknown_files import check_list
    from lakehouse.storage.warehouse import Warehouse as Opened

    if not Opened.exists(warehouse, catalog):
        check_options(engine=engine, address=address, format=form, time_zone=time_zone)
        check_list(list_unknown, warehouse)
        _make(warehouse, paths, catalog, key_file)
    with Opened.open(warehouse, catalog) as opened:
        report = run(
            paths,
            opened,
            engine=engine,
            address=address,
            format=form,
            time_zone=time_zone,
            authority=authority,
            mappings=mappings or (),
            codes=[str(c) for c in codes or ()],
            key_file=key_file,
            list_unknown=list_unknown,
        )
    _report(report, form, as_json)
    if list_unknown is not None:
        listed = output.counted(report.n_unrecognised, "path")
        output.note(f"Wrote {listed} to {escape(str(list_unknown))}, which only you can read.")
    if not report.has_recognised:
        raise typer.Exit(NOTHING_RECOGNISED)


def _make(warehouse: str, paths: list[str], catalog: str | None, key_file: Path | None) -> None:
    """Make a warehouse for an ingest, once its input is found and its key, if named, is there."""
    from lakehouse.pipeline.create import init as init_warehouse
    from lakehouse.privacy.keys.secret import Secret
    from lakehouse.sources.discover import list_files

    list_files(paths)
    if key_file:
        Secret.load(key_file)  # only `init` makes a key where a person says; this may be a typo
    _say_made(init_warehouse(warehouse, catalog=catalog, key_file=key_file))


def _report(report: IngestReport, form: str | None, as_json: bool) -> None:
    output.completed(report.recovered)
    _say_unrecognised(report, form)
    if report.n_hidden:
        passed = output.counted(report.n_hidden, "name")
        output.note(f"Passed over {passed} beginning with a dot.")
    if report.n_dangling:
        passed = output.counted(report.n_dangling, "link")
        output.note(f"[yellow]Passed over {passed} leading nowhere.[/yellow]")
    if report.n_unreadable:
        unread = output.counted(report.n_unreadable, "file")
        output.note(f"[yellow]Could not be read to the end: {unread}.[/yellow]")
    if report.ingest_id is None:
        known = f": {output.counted(report.n_known, 'file')} known already"
        output.note(f"Nothing new{known if report.n_known else ''}.")
        say_rows_added(report, as_json)
        return
    known = f", {report.n_known:,} known already" if report.n_known else ""
    speed = report.bytes / 1e6 / max(report.seconds, 1e-9)
    output.note(
        f"Ingested [bold]{output.counted(report.n_records, 'record')}[/bold] of "
        f"{output.counted(report.n_files, 'file')}{known} "
        f"in {report.seconds:.1f} s ({speed:,.1f} MB/s, engine {report.engine})."
    )
    say_rows_added(report, as_json)


def say_rows_added(report: IngestReport, as_json: bool) -> None:
    """Print the rows that an ingest or a replay added, and what is amiss."""
    rows = {n: c for n, c in report.rows.items() if c}
    output.table(
        ("table", "rows added"), sorted(rows.items(), key=lambda r: -r[1]), as_json=as_json
    )
    if report.unmapped:
        output.note(f"Not mapped: {_not_mapped(report.unmapped)}. See lakehouse unmapped.")
    if report.n_rejects or report.n_warnings:
        rejected = f"{output.counted(report.n_rejects, 'record')} rejected"
        warned = output.counted(report.n_warnings, "warning")
        output.note(f"[yellow]{rejected}, {warned}[/yellow]: see lakehouse rejects")


def _say_unrecognised(report: IngestReport, form: str | None) -> None:
    """Name the files that gave no record, each by its path where that was typed in full.

    A name that was found in a folder may identify a patient, and is never told.
    """
    from rich.markup import escape

    files = report.unrecognised
    what = f"Not readable as {form}" if form else "Of no known format"
    own = sorted(path for path, is_own in files.values() if is_own)
    for path in own[:SHOWN]:
        output.note(f"[yellow]{what}: {escape(path)}[/yellow]. Nothing of it is stored.")
    if len(own) > SHOWN:
        output.note(f"[yellow]{what}: {len(own) - SHOWN:,} more of the files named.[/yellow]")
    for path in sorted({path for path, is_own in files.values() if not is_own}):
        ids = sorted(i for i, place in files.items() if place == (path, False))
        found = f"{output.counted(len(ids), 'file')} at or below {escape(path)}"
        output.note(
            f"[yellow]{what}: {found}[/yellow]. Nothing of that is stored. "
            f"File ids: {shortened(ids)}. --list-unknown FILE writes which they are."
        )
    if files:
        output.note(f"[yellow]By content, {_look_like(report.unrecognised_kinds)}.[/yellow]")
    if files and not form:
        output.note("[dim]--format NAME reads them as a format of your choice.[/dim]")


def _look_like(kinds: dict[str, int]) -> str:
    """Return what files look like, most of them first.

    Examples:
        >>> _look_like({"FHIR": 1412, "CSV": 1})
        '1,412 look like FHIR, 1 like CSV'
    """
    first, *others = (f"{n:,} {{}}like {kind}" for kind, n in kinds.items())
    verb = "looks " if next(iter(kinds.values())) == 1 else "look "
    return ", ".join((first.format(verb), *(each.format("") for each in others)))


def _not_mapped(names: dict[str, int]) -> str:
    more = len(names) - SHOWN_NAMES
    listed = [f"{name} {n:,}" for name, n in list(names.items())[:SHOWN_NAMES]]
    return ", ".join(listed) + (f" and {more:,} more" if more > 0 else "")


def shortened(ids: list[str]) -> str:
    """Return some ids of files, and how many more there are."""
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


@app.command(rich_help_panel=DATA, epilog=example("lakehouse formats"))
def formats(as_json: Json = False) -> None:
    """List the medical formats that can be ingested."""
    from lakehouse.formats import formats as found

    listed = sorted(found().values(), key=lambda f: f.name)
    output.table(
        ("format", "usual endings", "reads"),
        [(f.name, list(f.extensions), f.doc) for f in listed],
        as_json=as_json,
    )


@app.command(
    rich_help_panel=DATA, epilog=example("lakehouse synth ./hospital --patients 500 --years 3")
)
def synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the files.")],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 100,
    years: Annotated[float, typer.Option(min=0.1, help="Over how many years.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 1,
    form: Annotated[
        list[str] | None, typer.Option("--format", help="Only these formats; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a synthetic hospital: made-up patients with believable lives, ready to ingest."""
    from lakehouse.synth import write

    with output.progress("writing patients") as tell:
        counts = write(folder, patients, years, seed, form, progress=tell)
    output.table(("what", "number"), sorted(counts.items()), as_json=as_json)
    output.note(f"Next: [bold]lakehouse ingest {folder}[/bold]")


@app.command(rich_help_panel=DATA, epilog=example("lakehouse version"))
def version(as_json: Json = False) -> None:
    """Show the versions of this software and of what it stands on."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of

    names = ("clinical-lakehouse", "duckdb", "pyiceberg", "pyarrow", "ray", "sqlglot", "pydicom")
    rows = [("python", platform.python_version())]
    for name in names:
        try:
            rows.append((name, of(name)))
        except PackageNotFoundError:
            rows.append((name, "not installed"))
    output.table(("package", "version"), rows, as_json=as_json)

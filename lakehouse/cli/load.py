"""Commands that bring data in: init, ingest, rejects, formats, synth."""

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
    rich_help_panel=DATA, epilog=example("lakehouse ingest ./feeds ./images/*.zip --engine ray")
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
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """De-identify medical files and add them to the warehouse, made if there is none.

    Running it again with the same files changes nothing.
    """
    from lakehouse.pipeline.ingest import ingest as run
    from lakehouse.pipeline.steps import check_options
    from lakehouse.storage.warehouse import Warehouse as Opened

    if not Opened.exists(warehouse, catalog):
        check_options(engine=engine, address=address, format=form, time_zone=time_zone)
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
        )
    _report(report, form, as_json)


def _make(warehouse: str, paths: list[str], catalog: str | None, key_file: Path | None) -> None:
    """Make a warehouse for an ingest, once its input is found and its key, if named, is there."""
    from lakehouse.pipeline.create import init as init_warehouse
    from lakehouse.privacy.keys.secret import Secret
    from lakehouse.sources.discover import listed

    listed(paths)
    if key_file:
        Secret.load(key_file)  # only `init` makes a key where a person says; this may be a typo
    _say_made(init_warehouse(warehouse, catalog=catalog, key_file=key_file))


def _report(report: IngestReport, form: str | None, as_json: bool) -> None:
    output.completed(report.recovered)
    _say_unrecognised(report.unrecognised, form)
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
        _rows_added(report, as_json)
        return
    known = f", {report.n_known:,} known already" if report.n_known else ""
    speed = report.bytes / 1e6 / max(report.seconds, 1e-9)
    output.note(
        f"Ingested [bold]{output.counted(report.n_records, 'record')}[/bold] of "
        f"{output.counted(report.n_files, 'file')}{known} "
        f"in {report.seconds:.1f} s ({speed:,.1f} MB/s, engine {report.engine})."
    )
    _rows_added(report, as_json)


def _rows_added(report: IngestReport, as_json: bool) -> None:
    rows = {n: c for n, c in report.rows.items() if c}
    output.table(
        ("table", "rows added"), sorted(rows.items(), key=lambda r: -r[1]), as_json=as_json
    )
    if report.n_rejects or report.n_warnings:
        rejected = f"{output.counted(report.n_rejects, 'record')} rejected"
        warned = output.counted(report.n_warnings, "warning")
        output.note(f"[yellow]{rejected}, {warned}[/yellow]: see lakehouse rejects")


SHOWN = 5
"""Paths, or ids of files, that are told one by one."""


def _say_unrecognised(files: dict[str, tuple[str, bool]], form: str | None) -> None:
    """Name the files that gave no record, each by its path where that was typed in full.

    A name that was found in a folder may identify a patient, and is never told.
    """
    from rich.markup import escape

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
            f"File ids: {_shortened(ids)}. Name the files one by one to be told which they are."
        )
    if files and not form:
        output.note("[dim]--format NAME reads them as a format of your choice.[/dim]")


def _shortened(ids: list[str]) -> str:
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


@app.command(rich_help_panel=DATA, epilog=example("lakehouse rejects --replay ./feeds"))
def rejects(
    replay: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Try the rejected records of these files again."),
    ] = None,
    warnings: Annotated[bool, typer.Option("--warnings", help="List warnings as well.")] = False,
    form: Annotated[
        str | None, typer.Option("--format", help="With --replay: read every file as this format.")
    ] = None,
    time_zone: TimeZone = "UTC",
    authority: Authority = None,
    mappings: Mappings = None,
    codes: Codes = None,
    catalog: Catalog = None,
    key_file: KeyFile = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Count what is not stored, by rule; --replay tries those files and records again."""
    if replay:
        from lakehouse.pipeline.replay import replay as run
        from lakehouse.storage.warehouse import Warehouse as Opened

        with Opened.open(warehouse, catalog) as opened:
            report = run(
                replay,
                opened,
                format=form,
                time_zone=time_zone,
                authority=authority,
                mappings=mappings or (),
                codes=[str(c) for c in codes or ()],
                key_file=key_file,
            )
        if report.ingest_id is None:
            output.note("No rejected record of these files passes now.")
            _rows_added(report, as_json)
            return
        stored = output.counted(report.n_records - report.n_rejects, "record")
        output.note(f"Stored [bold]{stored}[/bold].")
        _rows_added(report, as_json)
        return
    _list_rejects(warehouse, catalog, warnings, as_json)


_OPEN = """
SELECT level, rule, location, count(DISTINCT (file_id, record_ordinal)) AS n,
    count(DISTINCT file_id) AS n_files, any_value(message) AS message
FROM open_rejects GROUP BY level, rule, location
ORDER BY list_position(['file', 'record', 'row', 'warning'], level), n DESC, rule, location
"""


def _list_rejects(warehouse: str, catalog: str | None, warnings: bool, as_json: bool) -> None:
    from lakehouse.query.lakehouse import Lakehouse

    with Lakehouse(warehouse, catalog=catalog) as lake:
        rows = lake.sql(_OPEN).fetchall()
        unknown = lake.sql("SELECT file_id FROM open_rejects WHERE rule = 'file.not-recognised'")
        ids = sorted(row[0] for row in unknown.fetchall())
    shown = [r for r in rows if warnings or r[0] != "warning"]
    columns = ("level", "rule", "location", "n", "files", "message")
    output.table(columns, shown, as_json=as_json, empty="No rejects.")
    lost = {level: sum(r[3] for r in rows if r[0] == level) for level in ("file", "record", "row")}
    if any(lost.values()):
        counts = ", ".join(output.counted(n, level) for level, n in lost.items() if n)
        output.note(
            f"Not stored: [bold]{counts}[/bold]. --replay PATH tries them again after a fix."
        )
    if ids:
        output.note(
            f"Of no known format: {_shortened(ids)}. lakehouse ingest names those whose path is "
            "typed in full; --format NAME reads them."
        )
    n_warnings = sum(r[3] for r in rows if r[0] == "warning")
    if n_warnings and not warnings:
        output.note(
            f"[dim]Also {output.counted(n_warnings, 'warning')}: --warnings lists them.[/dim]"
        )


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

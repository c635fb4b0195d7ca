"""Commands that bring data in: init, ingest, rejects, formats, synth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli import show
from lakehouse.cli.app import (
    DATA,
    DEFAULT_WAREHOUSE,
    Catalog,
    Codes,
    KeyFile,
    Warehouse,
    app,
    example,
)
from lakehouse.errors import InputError, WarehouseError

if TYPE_CHECKING:
    from lakehouse.reports import IngestReport
    from lakehouse.storage.warehouse import Warehouse as Opened

PROFILE = "safe_harbor"
"""Profile of a warehouse that nobody chose one for."""


@app.command(
    rich_help_panel=DATA,
    epilog=example("lakehouse init ./research --profile limited --data-use-agreement DUA-2026-14"),
)
def init(
    path: Annotated[str | None, typer.Argument(help="Folder or URI; default: --warehouse.")] = None,
    profile: Annotated[
        str, typer.Option(help="De-identification: safe_harbor or limited.")
    ] = PROFILE,
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
    key_file: KeyFile = None,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Make a warehouse, and a key for it when none is named."""
    made, key_path, key_made = _make(
        path or warehouse,
        profile=profile,
        data_use_agreement=data_use_agreement,
        authority=authority,
        buckets=buckets,
        catalog=catalog,
        key_file=key_file,
    )
    with made:
        _say_made(made, key_path, key_made)


def _make(
    path: str,
    *,
    profile: str = PROFILE,
    data_use_agreement: str | None = None,
    authority: str = "",
    buckets: int = 0,
    catalog: str | None = None,
    key_file: Path | None = None,
) -> tuple[Opened, Path, bool]:
    from lakehouse.privacy.keyring import obtain
    from lakehouse.privacy.policy import load_policy
    from lakehouse.storage.settings import Settings
    from lakehouse.storage.warehouse import Warehouse as Opened

    policy = load_policy(profile)
    if policy.needs_agreement and not data_use_agreement:
        raise WarehouseError(
            f"The profile {profile} needs a data use agreement.",
            "Give its reference: --data-use-agreement REFERENCE.",
        )
    if Opened.exists(path, catalog):
        raise WarehouseError(
            f"There is a warehouse in {path} already.", "Choose another folder, or use it."
        )
    key_path, secret, key_made = obtain(key_file)
    try:
        settings = Settings(
            profile=profile,
            key_id=secret.key_id,
            policy_sha256=policy.sha256,
            buckets=buckets,
            authority=authority,
            data_use_agreement=data_use_agreement,
        )
        return Opened.create(path, settings, catalog), key_path, key_made
    except BaseException:
        if key_made:
            key_path.unlink(missing_ok=True)  # a key that nothing was made with
        raise


def _say_made(made: Opened, key_path: Path, key_made: bool) -> None:
    show.note(
        f"Made the warehouse [bold]{made.path}[/bold] (profile {made.settings.profile}, "
        f"{len(made.tables())} tables)."
    )
    if key_made:
        show.note(
            f"Made its key [bold]{key_path}[/bold]. Back it up apart from the warehouse: without "
            "it no later file can be joined to these patients, and with it records can be traced."
        )
    else:
        show.note(f"Its key is [bold]{key_path}[/bold].")


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
    time_zone: Annotated[
        str, typer.Option(metavar="NAME", help="Time zone of times that state none.")
    ] = "UTC",
    authority: Annotated[
        str | None, typer.Option(help="Assigning authority of record numbers that state none.")
    ] = None,
    mappings: Annotated[
        list[str] | None, typer.Option("--mappings", metavar="DIR", help="The site's own mappings.")
    ] = None,
    codes: Codes = None,
    catalog: Catalog = None,
    key_file: KeyFile = None,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """De-identify medical files and add them to the warehouse, made if there is none.

    Running it again with the same files changes nothing.
    """
    from lakehouse.ingest import ingest as run

    _expect(paths)
    with _open_or_make(warehouse, catalog, key_file) as opened:
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
    _report(report)


def _expect(paths: list[str]) -> None:
    """Refuse a path that is not there before a warehouse is made for it."""
    for path in paths:
        if not any(c in path for c in "*?[") and "://" not in path and not Path(path).exists():
            raise InputError(f"{path} does not exist.", "Check the path.")


def _open_or_make(warehouse: str, catalog: str | None, key_file: Path | None) -> Opened:
    from lakehouse.storage.warehouse import Warehouse as Opened

    if Opened.exists(warehouse, catalog):
        return Opened.open(warehouse, catalog)
    made, key_path, key_made = _make(warehouse, catalog=catalog, key_file=key_file)
    _say_made(made, key_path, key_made)
    return made


def _report(report: IngestReport) -> None:
    if report.n_unrecognised:
        show.note(f"[yellow]{report.n_unrecognised:,} files are of no known format.[/yellow]")
    if report.n_unreadable:
        show.note(f"[yellow]{report.n_unreadable:,} files could not be read to the end.[/yellow]")
    if report.ingest_id is None:
        show.note(f"Nothing new: {report.n_known:,} files are in the warehouse already.")
        return
    known = f", {report.n_known:,} known already" if report.n_known else ""
    speed = report.bytes / 1e6 / max(report.seconds, 1e-9)
    show.note(
        f"Ingested [bold]{report.n_records:,} records[/bold] of {report.n_files:,} files{known} "
        f"in {report.seconds:.1f} s ({speed:,.1f} MB/s, engine {report.engine})."
    )
    rows = {n: c for n, c in report.rows.items() if c}
    show.table(("table", "rows added"), sorted(rows.items(), key=lambda r: -r[1]))
    if report.n_rejects or report.n_warnings:
        counted = f"{report.n_rejects:,} records rejected, {report.n_warnings:,} warnings"
        show.note(f"[yellow]{counted}[/yellow]: see lakehouse rejects")


@app.command(rich_help_panel=DATA, epilog=example("lakehouse rejects --replay ./feeds"))
def rejects(
    replay: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Read the rejected records of these files again."),
    ] = None,
    warnings: Annotated[bool, typer.Option(help="List warnings as well.")] = False,
    catalog: Catalog = None,
    key_file: KeyFile = None,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Count what was not stored, by rule; --replay tries those records again."""
    from lakehouse.query.lakehouse import Lakehouse

    with Lakehouse(warehouse, catalog=catalog) as lake:
        rows = lake.sql(
            "SELECT level, format, rule, location, count(*) AS n, count(DISTINCT file_id) AS files,"
            " any_value(message) AS message FROM rejects WHERE $all OR level <> 'warning'"
            " GROUP BY ALL ORDER BY n DESC, rule, location",
            {"all": warnings},
        ).fetchall()
    if not rows:
        show.note("No rejects.")
    else:
        show.table(("level", "format", "rule", "where", "n", "files", "message"), rows)


@app.command(rich_help_panel=DATA, epilog=example("lakehouse formats"))
def formats() -> None:
    """List the medical formats that can be ingested."""
    from lakehouse.formats import formats as found

    listed = sorted(found().values(), key=lambda f: f.name)
    show.table(
        ("format", "usual endings", "reads"), [(f.name, list(f.extensions), f.doc) for f in listed]
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
) -> None:
    """Write a synthetic hospital: made-up patients with believable lives, ready to ingest."""
    from lakehouse.synth import write

    counts = write(folder, patients, years, seed, form)
    show.table(("what", "number"), sorted(counts.items()))
    show.note(f"Next: [bold]lakehouse ingest {folder}[/bold]")


@app.command(rich_help_panel=DATA, epilog=example("lakehouse version"))
def version() -> None:
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
    show.table(("package", "version"), rows)

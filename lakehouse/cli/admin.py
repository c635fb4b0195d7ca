"""Commands that keep a warehouse: verify, forget, maintain, release."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli import output
from lakehouse.cli.app import (
    DEFAULT_WAREHOUSE,
    KEEP,
    Catalog,
    Json,
    KeyFile,
    Warehouse,
    app,
    example,
)
from lakehouse.cli.lineage import save
from lakehouse.errors import UserError

if TYPE_CHECKING:
    from lakehouse.storage.warehouse import Warehouse as Opened

FINDINGS = 1
"""Exit code of a verification that found something."""

REPORTS = (".json", ".html")
"""Endings of the files that a verification can be written to."""


def _open(warehouse: str, catalog: str | None) -> Opened:
    from lakehouse.storage.warehouse import Warehouse as Opened

    return Opened.open(warehouse, catalog)


@app.command(
    rich_help_panel=KEEP,
    epilog=example("lakehouse verify --tokens identifiers.txt --control ./feeds -o report.html"),
)
def verify(
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Identifiers that must not be found, one a line, of five characters and more.",
        ),
    ] = None,
    control: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH", help="With --tokens: source data in which every token has to be found."
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="With --tokens: another folder to search, as logs."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the report: .json, or .html to sign."),
    ] = None,
    catalog: Catalog = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Prove that the warehouse is whole and that nothing identifying is stored; exit 1 if not."""
    from lakehouse.verification import verify as prove

    if file is not None and file.suffix not in REPORTS:
        raise UserError(
            f"A report cannot be written as {file.suffix or 'a file without an ending'}.",
            f"Name a file that ends in {' or '.join(REPORTS)}; a browser prints the page.",
        )
    with output.console(stderr=True).status("looking ...") as status:
        report = prove(
            warehouse,
            tokens=tokens,
            control=control or (),
            also=also or (),
            catalog=catalog,
            progress=lambda what: status.update(f"looking at {what} ..."),
        )
    if file is not None:
        save(file, report.to_json() if file.suffix == ".json" else report.to_html())
    output.table(
        ("id", "check", "looked at", "findings"),
        [(c.id, c.says, c.checked, len(c.findings)) for c in report.checks],
        as_json=as_json,
    )
    for check in report.checks:
        for finding in check.findings:
            output.note(f"[red]{check.id}[/red]: {finding}")
        for note in check.notes:
            output.note(f"[yellow]{check.id}[/yellow]: {note}")
    for column in report.columns:
        if column.findings:
            output.note(f"[red]{column.table}.{column.column}[/red]: {column.findings:,} findings")
    verdict = (
        "[green]passed[/green]" if report.passed else f"[red]{report.n_findings:,} findings[/red]"
    )
    output.note(f"{report.warehouse} (profile {report.profile}, key {report.key_id}): {verdict}.")
    if not report.passed:
        raise typer.Exit(FINDINGS)


@app.command(
    rich_help_panel=KEEP,
    epilog=example("lakehouse forget --record-number - --authority GENERAL"),
)
def forget(
    patient_id: Annotated[
        str | None, typer.Option(metavar="ID", help="The patient's pseudonym.")
    ] = None,
    record_number: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="The true record number; - asks, so no history keeps it."
        ),
    ] = None,
    authority: Annotated[str, typer.Option(help="Who assigned the record number.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    key_file: KeyFile = None,
    catalog: Catalog = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Erase a patient from every table, snapshot and file, and keep them from coming back."""
    from lakehouse.pipeline.erasure import forget as erase

    if record_number == "-":
        asks = sys.stdin.isatty()
        record_number = (
            typer.prompt("Record number", hide_input=True, err=True)
            if asks
            else sys.stdin.readline().strip()
        )
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("Erasure cannot be undone.", "Say --yes.")
        typer.confirm("Erase this patient for ever?", abort=True, err=True)
    report = erase(
        warehouse,
        patient_id=patient_id,
        record_number=record_number,
        authority=authority,
        key_file=key_file,
        catalog=catalog,
    )
    if report.resumed:
        output.note("Completed the erasure that had been left unfinished.")
    erased = sorted((n, c) for n, c in report.rows.items() if c)
    output.table(("table", "rows erased"), erased, as_json=as_json)
    output.note(
        f"Erased {report.n_identities} {'identity' if report.n_identities == 1 else 'identities'}; "
        f"{report.n_rewritten} files written anew, {report.n_deleted} deleted."
    )


@app.command(rich_help_panel=KEEP, epilog=example("lakehouse maintain --dry-run"))
def maintain(
    keep: Annotated[int, typer.Option(min=1, help="Newest snapshots of each table to keep.")] = 20,
    grace: Annotated[
        float, typer.Option(min=0, help="Hours that unused files wait for running queries.")
    ] = 24,
    target: Annotated[
        int, typer.Option("--target-size", min=1, metavar="MB", help="Size of a data file.")
    ] = 128,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    catalog: Catalog = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Compact small files, expire old snapshots, delete what nothing uses any more."""
    from lakehouse.storage.maintenance.maintain import maintain as run

    with _open(warehouse, catalog) as opened:
        report = run(
            opened,
            keep=keep,
            target_size=target * 2**20,
            grace=timedelta(hours=grace),
            dry_run=dry_run,
        )
    output.completed(report.recovered)
    changed = [t for t in report.tables if t.before != t.after or t.deleted or t.waiting]
    output.table(
        (
            *("table", "files", "files then", "MB", "MB then"),
            *("snapshots", "snapshots then", "deleted", "waiting"),
        ),
        [
            (
                t.table,
                t.before.files,
                t.after.files,
                round(t.before.bytes / 1e6, 1),
                round(t.after.bytes / 1e6, 1),
                t.before.snapshots,
                t.after.snapshots,
                t.deleted,
                t.waiting,
            )
            for t in changed
        ],
        as_json=as_json,
        empty="Nothing to do.",
    )
    freed = sum(t.deleted_bytes for t in report.tables)
    if changed:
        output.note(f"{freed / 1e6:,.1f} MB {'would be ' if dry_run else ''}freed.")


@app.command(
    rich_help_panel=KEEP,
    epilog=example("lakehouse release 2026-q1 && lakehouse shell --as-of 2026-q1"),
)
def release(
    name: Annotated[str | None, typer.Argument(help="Its name; left out, they are listed.")] = None,
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Rows added and removed per table from A to B."),
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Let go of it.")] = False,
    catalog: Catalog = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Pin one snapshot of every table under a name, list releases, or compare two."""
    from lakehouse.storage.maintenance import releases
    from lakehouse.storage.maintenance.release_records import list_releases

    if drop and name is None:
        raise UserError("--drop needs the name of a release.")
    with _open(warehouse, catalog) as opened:
        if diff is not None:
            changes = releases.diff_releases(opened, *diff)
            output.table(
                ("table", "added", "removed"),
                [(c.table, c.n_added, c.n_removed) for c in changes if c.n_added or c.n_removed],
                as_json=as_json,
                empty="Nothing changed between them.",
            )
        elif name is None:
            listed = list_releases(opened)
            output.table(
                ("release", "made", "rows"),
                [(r.name, r.created_at, sum(r.rows.values())) for r in listed],
                as_json=as_json,
                empty="No releases.",
            )
        elif drop:
            releases.drop_release(opened, name)
            output.note(f"Release {name} is let go.")
        else:
            made = releases.create_release(opened, name)
            output.note(f"Release [bold]{made.name}[/bold] pins {sum(made.rows.values()):,} rows.")

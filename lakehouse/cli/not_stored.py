"""Commands that tell what is not stored: rejects, unmapped."""

from __future__ import annotations

from typing import Annotated

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
from lakehouse.cli.load import Authority, Mappings, TimeZone, say_rows_added, shortened


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
            say_rows_added(report, as_json)
            return
        stored = output.counted(report.n_records - report.n_rejects, "record")
        output.note(f"Stored [bold]{stored}[/bold].")
        say_rows_added(report, as_json)
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
            f"Of no known format: {shortened(ids)}. lakehouse ingest PATH --list-unknown FILE "
            "writes which they are; --format NAME reads them."
        )
    n_warnings = sum(r[3] for r in rows if r[0] == "warning")
    if n_warnings and not warnings:
        output.note(
            f"[dim]Also {output.counted(n_warnings, 'warning')}: --warnings lists them.[/dim]"
        )


_UNMAPPED = """
SELECT format, dropped.key AS name, sum(dropped.value::BIGINT)::BIGINT AS n,
    count(DISTINCT file_id) AS n_files
FROM ingest_files, json_each(ingest_files.dropped) AS dropped
WHERE status != 'not-recognised'
GROUP BY ALL ORDER BY n DESC, format, name
"""


@app.command(rich_help_panel=DATA, epilog=example("lakehouse unmapped"))
def unmapped(
    catalog: Catalog = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Count the segments and elements of stored files that no mapping names, by their name."""
    from lakehouse.query.lakehouse import Lakehouse

    with Lakehouse(warehouse, catalog=catalog) as lake:
        rows = lake.sql(_UNMAPPED).fetchall()
    output.table(
        ("format", "name", "n", "files"), rows, as_json=as_json, empty="All of it is mapped."
    )
    if rows:
        output.note("[dim]A mapping of your own reads them: lakehouse ingest --mappings DIR[/dim]")

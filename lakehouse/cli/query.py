"""Commands that ask: sql, shell, tables, views."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli import output
from lakehouse.cli.app import (
    ASK,
    DEFAULT_WAREHOUSE,
    AsOf,
    Catalog,
    Codes,
    Json,
    Views,
    Warehouse,
    app,
    example,
)
from lakehouse.errors import QueryError, UserError, did_you_mean

if TYPE_CHECKING:
    from lakehouse.query.lakehouse import Lakehouse
    from lakehouse.query.views.view import View


def _open(
    warehouse: str,
    catalog: str | None = None,
    codes: list[Path] | None = None,
    views: list[Path] | None = None,
    as_of: str | None = None,
) -> Lakehouse:
    from lakehouse.query.lakehouse import Lakehouse

    return Lakehouse(warehouse, as_of=as_of, catalog=catalog, codes=codes or (), views=views or ())


@app.command(
    rich_help_panel=ASK,
    epilog=example('lakehouse sql "SELECT sex, count(*) AS n FROM patients_current GROUP BY sex"'),
)
def sql(
    query: Annotated[
        str | None, typer.Argument(help="One SELECT; left out or -, it is read from the input.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the SELECT from a file.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A value for $NAME; repeatable."),
    ] = None,
    form: Annotated[
        output.Format | None,
        typer.Option("--format", help="Default: table on a terminal, csv in a pipe."),
    ] = None,
    destination: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to a file; its ending tells the format."),
    ] = None,
    rows: Annotated[
        int, typer.Option(min=0, help="Most rows of a table on a terminal; 0 for all.")
    ] = output.SHOWN_ROWS,
    min_cell: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Blank groups of fewer patients than N; 11 is usual."
        ),
    ] = None,
    as_of: AsOf = None,
    codes: Codes = None,
    views: Views = None,
    catalog: Catalog = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Run one SELECT over tables, views and code sets, and show its rows."""
    if as_json:
        form = _only_json(form)
    text = _statement(query, file)
    with _open(warehouse, catalog, codes, views, as_of) as lake:
        found = lake.sql(text, _parameters(param or []), min_cell=min_cell)
        output.write(found, form, destination, rows)


def _only_json(form: output.Format | None) -> output.Format:
    if form not in (None, output.Format.JSON):
        raise UserError(f"--json and --format {form} contradict.", "Give one of the two.")
    return output.Format.JSON


def _statement(query: str | None, file: Path | None) -> str:
    if file is not None:
        if query is not None:
            raise UserError("There is a query and a file with one.", "Give one of the two.")
        try:
            return file.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{file} cannot be read ({output.reason(error)}).") from None
        except UnicodeDecodeError:
            raise UserError(f"{file} is no text in UTF-8.", "Save it as UTF-8.") from None
    if query is None and sys.stdin.isatty():
        raise UserError(
            "There is no query.", "Give one in quotes, --file FILE, or use `lakehouse shell`."
        )
    return sys.stdin.read() if query in (None, "-") else str(query)


def _parameters(given: list[str]) -> dict[str, str] | None:
    for each in given:
        if "=" not in each:
            raise UserError("A parameter reads NAME=VALUE.", "In the query it is $NAME.")
    return dict(each.split("=", 1) for each in given) or None


@app.command(rich_help_panel=ASK, epilog=example("lakehouse shell"))
def shell(
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="Run this and leave.")
    ] = None,
    init_only: Annotated[
        bool, typer.Option("--init-file", help="Print where the init file is, and leave.")
    ] = False,
    url: Annotated[
        bool, typer.Option("--url", help="Print the SQLAlchemy address for BI tools, and leave.")
    ] = False,
    as_of: AsOf = None,
    codes: Codes = None,
    views: Views = None,
    catalog: Catalog = None,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Open DuckDB's own shell on the tables and views; it sees new ingests at once.

    The same works in any DuckDB of this version: duckdb -init INIT_FILE
    """
    from lakehouse.query.connection.shell_database import (
        database_url,
        folder_of,
        keep_pins,
        prepare,
        shell_command,
    )
    from lakehouse.query.connection.time_travel import all_snapshots

    with _open(warehouse, catalog, codes, views, as_of) as lake:
        init = prepare(lake.location, lake.folder(folder_of(lake.location)))
        if lake.location.snapshots:
            keep_pins(init.parent, lake.location, all_snapshots(lake.warehouse))
        if init_only:
            typer.echo(str(init.resolve()))
            return
        if url:
            typer.echo(database_url(init))
            return
        if command is None and sys.stdin.isatty():
            output.note(
                f"[bold]{len(lake.tables())} tables, {len(lake.views())} views[/bold] "
                f"({lake.location.profile}). FROM lakehouse_views(); what each view is, by topic. "
                "FROM lakehouse_columns('egfr'); what a view's or table's columns hold. "
                "SHOW TABLES FROM codes; .quit"
            )
    arguments = [*shell_command(init), *(["-c", command] if command else [])]
    raise typer.Exit(_become(arguments))


def _become(arguments: list[str]) -> int:
    """Run the shell in this process's place, or wait for it where that cannot be."""
    if hasattr(os, "fork"):
        sys.stdout.flush()
        os.execv(arguments[0], arguments)  # noqa: S606 - the binary of the duckdb-cli package
    return subprocess.run(arguments, check=False).returncode  # noqa: S603


@app.command(rich_help_panel=ASK, epilog=example("lakehouse tables observations"))
def tables(
    name: Annotated[str | None, typer.Argument(help="Show this table's columns.")] = None,
    catalog: Catalog = None,
    as_of: AsOf = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """List the tables with their rows, or the columns of one."""
    with _open(warehouse, catalog, as_of=as_of) as lake:
        if name is not None:
            _columns(lake, name, as_json)
            return
        about = {row["name"]: row["about"] for row in lake.describe().to_pylist()}
        counts = lake.sql(
            " UNION ALL ".join(f"SELECT '{n}', count(*) FROM {n}" for n in lake.tables())
        )
        rows = dict(counts.fetchall())
        output.table(
            ("table", "rows", "one row is"),
            [(n, rows[n], about[n]) for n in lake.tables()],
            as_json=as_json,
        )


@app.command(
    rich_help_panel=ASK, epilog=example("lakehouse views news2 && lakehouse views --dialect spark")
)
def views(
    name: Annotated[str | None, typer.Argument(help="Show what this view is.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only the views of one topic.")] = None,
    text: Annotated[bool, typer.Option("--sql", help="Print the SQL.")] = False,
    dialect: Annotated[
        str | None, typer.Option(help="Print it for trino, spark, snowflake or postgres.")
    ] = None,
    schema: Annotated[
        str, typer.Option(help="With --dialect: the schema of tables and views there.")
    ] = "lakehouse",
    folders: Views = None,
    as_json: Json = False,
) -> None:
    """List the views by topic, or what one shows: grain, source, columns, SQL."""
    from lakehouse.query.views.library import load_views

    library = load_views(folders or ())
    if name is not None:
        _named(name, library)
    listed = sorted(library.values(), key=lambda v: (v.topic, v.name))
    if topic is not None:
        listed = [v for v in listed if v.topic == topic]
        topics = sorted({v.topic for v in library.values()})
        if not listed:
            raise UserError(f"There is no topic {topic}.", f"Known: {', '.join(topics)}.")
    if dialect is not None:
        from lakehouse.query.views.dialects import script

        roots = (name,) if name else tuple(v.name for v in listed)
        for part in script(dialect, roots, namespace=schema, folders=tuple(folders or ())):
            typer.echo(f"{part}\n")
    elif name is not None and text:
        typer.echo(library[name].sql)
    elif name is not None:
        _about(library[name], library, as_json)
    elif text:
        typer.echo("\n\n".join(f"-- {v.where}\n{v.sql};" for v in listed))
    else:
        output.table(
            ("topic", "view", "shows"),
            [
                (v.topic, v.name, v.title + (" (limited only)" if v.requires else ""))
                for v in listed
            ],
            as_json=as_json,
        )


def _about(view: View, library: dict[str, View], as_json: bool) -> None:
    from lakehouse.query.views.docs import column_docs

    docs = column_docs(view, library)
    if not as_json:
        _describe(view)
    columns = [(c, docs.get(c)) for c in view.columns]
    output.table(("column", "holds"), columns, as_json=as_json)


def _describe(view: View) -> None:
    call = f"{view.name}({', '.join(view.parameters)})" if view.parameters else view.name
    typer.echo(f"{call}: {view.title}\n{view.description}")
    typer.echo(f"One row per: {', '.join(view.grain)}")
    if view.source:
        typer.echo(f"Source: {view.source}")
    if view.requires:
        typer.echo("Exists under the profile limited only: it compares patients in time.")
    typer.echo(f"Reads: {', '.join(sorted(view.depends_on))}\n")


def _named(name: str, library: dict[str, View]) -> View:
    if name not in library:
        raise QueryError(f"There is no view named {name}.", did_you_mean(name, library))
    return library[name]


def _columns(lake: Lakehouse, name: str, as_json: bool) -> None:
    rows = lake.describe(name).to_pylist()
    output.table(
        ("column", "type", "holds"), [tuple(row.values()) for row in rows], as_json=as_json
    )

"""The views database and its ``init.sql``: all views for any DuckDB of the same version.

``views-<digest>.duckdb`` holds the code sets, and a view for every table and every view; no rows.
``init.sql`` loads the extensions by path and attaches it read-only, so ``duckdb -init init.sql``
and ``lakehouse shell`` are the same. The digest covers everything that goes in: a file that a
shell has open is never rewritten, another one is made beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlencode

import duckdb

from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError, UserError, WarehouseError
from lakehouse.query import errors
from lakehouse.query.connection.extensions import EXTENSIONS, extension_path, load_statements
from lakehouse.query.connection.location import EMPTY, WarehouseLocation, cache_folder
from lakehouse.query.connection.store_secrets import secret_statements
from lakehouse.query.connection.table_views import table_statements
from lakehouse.query.views.code_sets import code_set_names, create_codes
from lakehouse.query.views.docs import column_docs, comment_on, comments
from lakehouse.query.views.evaluate import DISABLE_FAULTY_OPTIMIZER, arguments_error, calendar_error
from lakehouse.query.views.library import dependency_order
from lakehouse.query.views.listing import DATABASE_COLUMNS, views_macro
from lakehouse.query.views.relations import fill_empty
from lakehouse.query.views.view import View, create, ddl, sql_literal

FOLDER = "shell"
"""Folder of the warehouse that holds both files."""

INIT = "init.sql"

OWN_LIST = """CREATE TEMP MACRO duckdb_columns() AS TABLE
FROM system.main.duckdb_columns() WHERE schema_name <> 'codes'"""
"""What ``.tables`` and ``SHOW ALL TABLES`` list in a shell: tables and views, not the code sets
before them. ``SHOW TABLES FROM codes`` lists those."""

PINNED = "as-of"
"""Below it, a folder for each state that was asked for: an address never leads to another."""

PINS = "pins.json"
"""In such a folder: the snapshot of each table."""

STABLE = "views.duckdb"
"""Always leads to the newest views database, for tools that are told a path once."""


def prepare(place: WarehouseLocation, folder: Path) -> Path:
    """Make the views database and ``init.sql``, unless they are there already.

    Args:
        place: The warehouse.
        folder: Where to put them; a folder that cannot be written is replaced by one in the
            user's cache.

    Returns:
        The path of ``init.sql``.
    """
    name = f"views-{digest(place)}.duckdb"
    for candidate in (folder, cache_folder() / name):
        try:
            candidate.mkdir(parents=True, exist_ok=True)
            database = candidate / name
            if not database.exists():
                _build(place, database)
            _write(candidate / INIT, init_sql(place, database))
            _link(candidate / STABLE, Path(name))
        except OSError:
            continue
        for old in candidate.glob("views-*.duckdb"):  # STABLE is not among them
            if old != database:
                with suppress(OSError):
                    old.unlink()  # a shell that has it open keeps it
        return candidate / INIT
    raise WarehouseError(
        f"Neither {folder} nor {cache_folder()} can be written.",
        "Set XDG_CACHE_HOME to a folder that can be.",
    )


def folder_of(place: WarehouseLocation) -> str:
    """Return the folder, below the warehouse's, of the newest state or of the one pinned."""
    if not place.snapshots:
        return FOLDER
    state = hashlib.sha256(json.dumps(sorted(place.snapshots.items())).encode()).hexdigest()
    return f"{FOLDER}/{PINNED}/{state[:12]}"


def keep_pins(folder: Path, place: WarehouseLocation, snapshots: Collection[int]) -> None:
    """Note what a folder pins, and remove those beside it that can answer no more.

    Args:
        folder: Folder of the place's views database.
        place: The warehouse with its pins.
        snapshots: Every snapshot that a table has.
    """
    _write(folder / PINS, json.dumps(place.snapshots))
    for other in folder.parent.glob(f"*/{PINS}"):
        with suppress(OSError, ValueError):
            pins = json.loads(other.read_text(encoding="utf-8"))
            if any(s != EMPTY and s not in snapshots for s in pins.values()):
                shutil.rmtree(other.parent)


def digest(place: WarehouseLocation) -> str:
    """Return a digest of all that goes into the views database."""
    versions = f"{duckdb.__version__}|{version('clinical-lakehouse')}"
    known = hashlib.sha256(f"{versions}|{place.profile}".encode())
    known.update(repr(sorted(place.locations.items())).encode())
    known.update(repr(sorted(place.snapshots.items())).encode())
    for view in place.views.values():
        known.update(repr((view, view.docs, view.sql)).encode())
    known.update((views_macro(place.views.values()) + DATABASE_COLUMNS).encode())
    for table in load_tables().values():
        known.update(repr((table, table.columns)).encode())
    for folder in (resource("catalog/codes"), *place.codes):
        for path in sorted(folder.glob("*.csv")):
            known.update(path.name.encode() + path.read_bytes())
    return known.hexdigest()[:12]


def init_sql(place: WarehouseLocation, database: Path) -> str:
    """Return the text of ``init.sql``."""
    lines = [
        "-- Opens the warehouse's tables, views and code sets: duckdb -init init.sql",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        *load_statements(),
        *secret_statements(place.store, by_name=True),
        "SET TimeZone = 'UTC'",
        DISABLE_FAULTY_OPTIMIZER,
        f"ATTACH {sql_literal(str(database.resolve()))} AS lakehouse (READ_ONLY)",
        "USE lakehouse",
        OWN_LIST,
    ]
    return lines[0] + "\n" + "".join(f"{line};\n" for line in lines[1:])


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)


def _build(place: WarehouseLocation, database: Path) -> None:
    """Build in a file of its own and put it in place whole."""
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".views-") as scratch:
        fresh = Path(scratch, "views.duckdb")
        with duckdb.connect(str(fresh)) as con:
            con.execute("SET TimeZone = 'UTC'")
            con.execute("BEGIN")  # one write to the disk, not one for each of 2,000 comments
            fill(con, place)
            con.execute("COMMIT")
        fresh.replace(database)


def fill(con: duckdb.DuckDBPyConnection, place: WarehouseLocation) -> None:
    """Create every code set, table and view in an empty database.

    Creating a view binds its SQL, and that of every view below it, down to the metadata of the
    Iceberg tables. So each is bound against stand-ins: empty tables in the place of tables and of
    views. Those give way from the top down, and last the tables to the views of Iceberg.

    Raises:
        DefinitionError: A view is at fault.
    """
    views = place.views
    create_codes(con, code_set_names(place.codes), place.codes)
    fill_empty(con, ())
    barred = {
        name: [
            n for n in dependency_order([name], views) if not views[n].is_available(place.profile)
        ]
        for name in views
    }
    order = dependency_order(views, views)
    for name in order:
        view = views[name]
        empty = f"CREATE TABLE {name} AS {view.sql} WITH NO DATA"
        _define(con, view, ddl(view) if view.parameters else empty)  # a macro binds when called
    docs: dict[str, dict[str, str]] = {}
    for name in reversed(order):
        view, about = views[name], column_docs(views[name], views, docs)
        why = str(calendar_error(barred[name][0], name)) if barred[name] else ""
        if view.parameters:
            _publish_macro(con, view, why, about)
            continue
        types = _types(con, name)
        con.execute(f"DROP TABLE {name}")
        if not why:
            _define(con, view, ddl(view))
        for statement in _stub(view, why, types) if why else comments(view, about):
            con.execute(statement)
    con.execute(views_macro(views.values()))
    con.execute(DATABASE_COLUMNS)
    for statement in load_statements():
        con.execute(statement)
    for statement in secret_statements(place.store):
        con.execute(statement)
    for table in load_tables().values():
        con.execute(f'DROP TABLE "{table.name}"')
        for statement in table_statements(con, table, place):
            con.execute(statement)


def _define(con: duckdb.DuckDBPyConnection, view: View, statement: str) -> None:
    try:
        con.execute(statement)
    except duckdb.Error as error:
        raise DefinitionError(f"{view.where}: {errors.text_of(error)}") from None


def _publish_macro(
    con: duckdb.DuckDBPyConnection, view: View, why: str, about: Mapping[str, str]
) -> None:
    """Publish a table macro, and a view of its name for whoever leaves the arguments out."""
    types = _types(con, f"{view.name}({', '.join('NULL' for _ in view.parameters)})")
    if why:
        statements = [f"DROP MACRO TABLE {view.name}", *_stub(view, why, types)]
    else:
        statements = comments(view, about)
        why = str(arguments_error(view.name, view.parameters))
    relation = replace(view, parameters=())
    statements += _stub(relation, why, types) + comments(relation, about)[1:]
    for statement in statements:
        con.execute(statement)


def _types(con: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    rows = con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return {column: kind for column, kind, *_ in rows}


def _stub(view: View, why: str, types: Mapping[str, str]) -> list[str]:
    """Return a view that answers with the line that says why it has no rows.

    Wherever its rows or their number would matter, the line comes: the filter keeps it where no
    column is read, and the columns keep it where DuckDB tests one of them before the filter.
    """
    said = sql_literal(why)
    columns = (f'error({said})::{types.get(c, "VARCHAR")} AS "{c}"' for c in view.columns)
    select = f"SELECT {', '.join(columns)} WHERE error({said}) IS NULL"
    return [create(view, select), comment_on(view, said)]


def _link(link: Path, target: Path) -> None:
    """Make a name lead to a file, in one step; a copy where there are no links."""
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        fresh.symlink_to(target)
    except OSError:
        shutil.copy2(link.parent / target, fresh)
    fresh.replace(link)


def extension_folder() -> Path:
    """Return a folder in which DuckDB finds the extensions by their names.

    The files stay where their packages put them; a driver that cannot run LOAD statements is told
    this folder as its ``extension_directory``.
    """
    with duckdb.connect(":memory:") as con:
        row = con.execute("PRAGMA platform").fetchone()
    folder = cache_folder() / "extensions"
    place = folder / f"v{duckdb.__version__}" / (str(row[0]) if row else "")
    place.mkdir(parents=True, exist_ok=True)
    for name in EXTENSIONS:
        _link(place / f"{name}.duckdb_extension", extension_path(name))
    return folder


def database_url(init: Path) -> str:
    """Return the SQLAlchemy address of the views database beside an ``init.sql``.

    It is for the driver ``duckdb-sqlalchemy``; ``duckdb-engine`` cannot list the columns.
    """
    options = {
        "access_mode": "read_only",
        "extension_directory": str(extension_folder()),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "true",
    }
    return f"duckdb:///{init.with_name(STABLE).resolve().with_name(STABLE)}?{urlencode(options)}"


def shell_command(init: Path) -> list[str]:
    """Return the command that opens DuckDB's own shell on ``init.sql``.

    Raises:
        UserError: The package with DuckDB's shell is missing.
    """
    spec = find_spec("duckdb_cli")
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place, "duckdb.exe" if sys.platform == "win32" else "duckdb")
        if binary.is_file():
            # Read as a command: what -init reads is announced in colours, also into a pipe.
            quoted = str(init).replace("\\", "\\\\").replace('"', '\\"')
            return [str(binary), "-no-init", "-cmd", f'.read "{quoted}"']
    raise UserError(
        "DuckDB's shell is not installed.", f"Run: pip install duckdb-cli=={duckdb.__version__}"
    )

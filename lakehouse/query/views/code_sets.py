"""Code sets: lists of codes from ``catalog/codes/*.csv``, each a table ``codes.<stem>`` in SQL.

A file may begin with ``# key: value`` lines: ``title``, ``source``, ``version``, and ``key`` (the
columns that identify a row). The header and the rows follow. Columns whose name matches ``NUMBERS``
hold numbers and all others text; an empty field is null.

``codes.quality_rules`` comes from ``catalog/quality/*.toml``.

A site's own folder (``--codes DIR``) adds rows to a set of the same stem, or adds a set. In a set
with a ``key``, a site's row replaces the shipped row with that key; an exact copy of a row counts
once.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

from lakehouse.definitions.csv_rows import split_front_matter
from lakehouse.definitions.resources import resource
from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.quality.rules import record_rules

if TYPE_CHECKING:
    import duckdb

NUMBERS = re.compile(
    r"(.+_)?(weight|factor|offset|low|high|minimum|maximum|points|population|coefficient|days)"
    r"|(original|quan|readmission|mortality)(_\d+|_weight)?"
)
"""Names of the columns that hold numbers (DOUBLE); every other column is text."""

_MATTER = re.compile(r"#\s*(?P<key>title|source|version|key):\s*(?P<value>.*)")


@dataclass(frozen=True)
class CodeSet:
    """A code set: the rows of one list of codes, with its source and version.

    Attributes:
        name: The file's stem; ``codes.<name>`` in SQL.
        title: A few words.
        source: Its publication.
        version: Its edition.
        key: Columns that identify a row; empty when the file states none.
        rows: Its rows.
    """

    name: str
    title: str = ""
    source: str = ""
    version: str = ""
    key: tuple[str, ...] = ()
    rows: pa.Table = field(default=None, repr=False)


def is_number(column: str) -> bool:
    """Return whether a column of this name holds numbers.

    Examples:
        >>> is_number("weight"), is_number("low"), is_number("code")
        (True, True, False)
    """
    return NUMBERS.fullmatch(column) is not None


def read_codes(path: Path) -> CodeSet:
    """Read the code set in one CSV file.

    Raises:
        DefinitionError: The file is not CSV with a header, or a number column holds text.
    """
    where = f"{path.parent.name}/{path.name}"
    matter: dict[str, str] = {}
    lines, text = split_front_matter(path)
    for line in lines:
        if not (match := _MATTER.fullmatch(line)):
            raise DefinitionError(
                f"{where}: a `#` line has an unknown key.", "Use title, source, version or key."
            )
        matter[match["key"]] = match["value"]
    header = next(iter(text.splitlines()), "")
    names = [n.strip().strip('"') for n in header.split(",")]
    types = {n: pa.float64() if is_number(n) else pa.string() for n in names}
    try:
        rows = pyarrow.csv.read_csv(
            io.BytesIO(text.encode()),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types, strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        raise DefinitionError(
            f"{where} is not CSV with one header, or a number column holds text.",
            f"Fix the number columns: {', '.join(n for n in names if is_number(n)) or 'none'}.",
        ) from None
    key = tuple(k.strip() for k in matter.get("key", "").split(",") if k.strip())
    if missing := set(key) - set(rows.column_names):
        raise DefinitionError(f"{where}: key names no column: {', '.join(sorted(missing))}.")
    return CodeSet(
        path.stem,
        matter.get("title", ""),
        matter.get("source", ""),
        matter.get("version", ""),
        key,
        rows,
    )


def _extend(shipped: CodeSet, own: CodeSet, where: str) -> CodeSet:
    for name in own.rows.column_names:
        if name not in shipped.rows.column_names:
            raise DefinitionError(
                f"{where}: {name} is no column of the shipped set.",
                did_you_mean(name, shipped.rows.column_names),
            )
    schema = shipped.rows.schema
    added = pa.table(
        [
            own.rows.column(f.name)
            if f.name in own.rows.column_names
            else pa.nulls(len(own.rows), f.type)
            for f in schema
        ],
        schema=schema,
    )
    remaining = shipped.rows
    if shipped.key:
        replaced = set(zip(*(added.column(k).to_pylist() for k in shipped.key), strict=True))
        mask = [
            row not in replaced
            for row in zip(*(remaining.column(k).to_pylist() for k in shipped.key), strict=True)
        ]
        remaining = remaining.filter(pa.array(mask, pa.bool_()))
    rows = pa.concat_tables([remaining, added])
    rows = rows.group_by(rows.column_names, use_threads=False).aggregate([])
    return CodeSet(shipped.name, shipped.title, shipped.source, shipped.version, shipped.key, rows)


RULES = "quality_rules"


@cache
def _shipped_set(name: str) -> CodeSet | None:
    if name == RULES:
        return CodeSet(
            RULES,
            "Rules that records are held to",
            "catalog/quality, each rule with its clause",
            key=("rule", "level"),
            rows=record_rules(),
        )
    path = resource("catalog/codes") / f"{name}.csv"
    return read_codes(path) if path.is_file() else None


def code_set_names(folders: Iterable[Path] = ()) -> list[str]:
    """Return the names of all code sets, shipped and a site's own."""
    sources = [resource("catalog/codes"), *folders]
    return sorted({RULES, *(path.stem for place in sources for path in place.glob("*.csv"))})


def load_codes(name: str, folders: Iterable[Path] = ()) -> CodeSet:
    """Return one code set, extended by the rows of a site's folders.

    Raises:
        DefinitionError: No code set has the name, or a file cannot be read as a code set.
    """
    code_set = _shipped_set(name)
    folders = list(folders)
    for folder in folders:
        path = folder / f"{name}.csv"
        if path.is_file():
            own = read_codes(path)
            code_set = (
                own if code_set is None else _extend(code_set, own, f"{folder.name}/{path.name}")
            )
    if code_set is None:
        raise DefinitionError(
            f"There is no code set named {name}.", did_you_mean(name, code_set_names(folders))
        )
    return code_set


def create_codes(
    con: duckdb.DuckDBPyConnection,
    names: Iterable[str],
    folders: Iterable[Path] = (),
    saved: Mapping[str, pa.Table] | None = None,
) -> None:
    """Create the table ``codes.<name>`` for each name, unless it exists.

    Args:
        con: The connection.
        names: Code sets.
        folders: A site's folders with code sets.
        saved: Rows that a saved cohort keeps, in place of the current ones.
    """
    folders, saved = list(folders), saved or {}
    con.execute("CREATE SCHEMA IF NOT EXISTS codes")
    for name in names:
        rows = saved[name] if name in saved else load_codes(name, folders).rows
        con.execute(f'CREATE TABLE IF NOT EXISTS codes."{name}" AS {_select(rows)}')


def _select(rows: pa.Table) -> str:
    """Return rows as a query, because registering them with DuckDB imports pandas (0.2 s)."""
    kinds = {f.name: ["DOUBLE" if pa.types.is_floating(f.type) else "VARCHAR"] for f in rows.schema}
    columns = ", ".join(f'unnest(j."{name}") AS "{name}"' for name in kinds)
    given, types = (json.dumps(value).replace("'", "''") for value in (rows.to_pydict(), kinds))
    return f"SELECT {columns} FROM (SELECT from_json('{given}', '{types}') AS j)"

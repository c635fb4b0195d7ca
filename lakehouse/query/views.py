"""The views: ``sql/<topic>/*.sql``, one SELECT a file; the file's stem is the view's name.

A file opens with front matter, ``-- key: value`` lines; a comment line indented by two more
blanks continues the line before it:

- ``title``, ``description``, ``grain`` (columns that name a row): always
- ``source``: where the definition is published; always for a risk score
- ``requires: calendar``: the view compares patients in time. Under ``safe_harbor`` every patient
  has a time line of its own, so the view exists under ``limited`` only
- ``cells: n_patients (mean_age, ...); n_with_diabetes; ...``: a view of counts: each count of
  patients, the row's own first, with the figures that stand on it. With a minimum cell size these
  columns and the grain are shown, no others, each count judged by itself
- ``parameters: ts``: the file defines a table macro, ``SELECT ... FROM charlson_at(ts)``
- ``column NAME: what it holds``: for a risk score, every column that no input documents already

The SELECT names other views and tables directly and code sets as ``codes.<stem>``. It ends in
explicit columns: an outer ``SELECT *`` would change with its inputs and has no lineage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.query import faults, tree
from lakehouse.query.guard import TABLE_FUNCTIONS
from lakehouse.resources import resource
from lakehouse.tables import load_tables

DIALECT = "duckdb"
PATIENTS = "n_patients"
"""Column with the number of distinct patients behind a row."""

CODES = "codes"
"""Schema in which code sets lie."""

CALENDAR = "calendar"
"""What a view requires that compares patients in time."""

CALENDAR_PROFILES = frozenset({"limited"})
"""Profiles under which all patients share one calendar."""

_KEYS = frozenset({"title", "description", "grain", "source", "requires", "parameters", "cells"})
_LINE = re.compile(r"--\s(?P<column>column\s+)?(?P<key>\w+):\s*(?P<value>.*)")
_CONTINUED = re.compile(r"--\s{3,}(?P<value>\S.*)")
_CELL = re.compile(r"(?P<count>\w+)\s*(\((?P<figures>[\w\s,]+)\))?")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class View:
    """One view as its file defines it.

    Attributes:
        name: Name in SQL, the file's stem.
        topic: The folder: ``concepts``, ``risk``, ``cohort``, ...
        title: A few words, for lists.
        description: What it shows and how.
        grain: Columns that together name one row.
        source: Where the definition is published; empty if it is plain.
        requires: ``calendar`` or empty.
        parameters: Arguments, when the file defines a table macro.
        docs: What each documented column holds.
        cells: Counts of patients, each with the figures that stand on it; none for other views.
        sql: The SELECT, without front matter.
        where: ``topic/name.sql``, for messages.
    """

    name: str
    topic: str
    title: str
    description: str
    grain: tuple[str, ...]
    source: str = ""
    requires: str = ""
    parameters: tuple[str, ...] = ()
    docs: Mapping[str, str] = field(default_factory=dict, repr=False)
    cells: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    sql: str = field(default="", repr=False)
    where: str = ""

    @cached_property
    def tree(self) -> Mapping[str, Any]:
        """DuckDB's syntax tree of the SELECT.

        Raises:
            DefinitionError: The file does not hold exactly one SELECT.
        """
        statements = tree.parse(self.sql)
        if statements is None:
            try:
                tree.statement_kinds(self.sql)
            except duckdb.Error as error:
                said = faults.text_of(error)
                raise DefinitionError(f"{self.where}: the SQL does not parse: {said}") from None
        if statements is None or len(statements) != 1:
            raise DefinitionError(f"{self.where}: a view is exactly one SELECT.")
        return statements[0]

    @cached_property
    def query(self) -> Any:
        """The SELECT as a sqlglot expression, for whoever rewrites it."""
        import sqlglot

        return sqlglot.parse_one(self.sql, dialect=DIALECT)

    @cached_property
    def depends_on(self) -> frozenset[str]:
        """Names the SELECT reads: tables, views, macros, and ``codes.<stem>``."""
        return frozenset(sources(self.tree))

    @cached_property
    def columns(self) -> list[str]:
        """Names of the result's columns, in order."""
        return tree.columns(self.tree)

    def available(self, profile: str) -> bool:
        """Return whether the view can exist under a de-identification profile."""
        return self.requires != CALENDAR or profile in CALENDAR_PROFILES


def sources(statement: Any) -> set[str]:
    """Return the tables, views, macros and ``codes.<stem>`` that a SELECT reads; no CTE names.

    Examples:
        >>> (select,) = tree.parse("WITH x AS (FROM t) SELECT a FROM x JOIN codes.units USING (a)")
        >>> sorted(sources(select))
        ['codes.units', 't']
    """
    found = set()
    for reference in tree.references(statement):
        if reference.kind == tree.TABLE:
            found.add(".".join(filter(None, (reference.schema, reference.name))))
        elif reference.kind == tree.FUNCTION and reference.name not in TABLE_FUNCTIONS:
            found.add(reference.name)
    return found


def parse_view(text: str, topic: str, name: str) -> View:
    """Read one view file.

    Raises:
        DefinitionError: Front matter is missing or has an unknown key, or the name is none.
    """
    where = f"{topic}/{name}.sql"
    if not _NAME.fullmatch(name):
        raise DefinitionError(f"{where}: a view's name is lower-case letters, digits and _.")
    matter: dict[str, str] = {}
    docs: dict[str, str] = {}
    into: tuple[dict[str, str], str] | None = None
    lines = text.splitlines()
    body = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    for number, line in enumerate(lines[:body], 1):
        if match := _LINE.fullmatch(line.rstrip()):
            into = (docs if match["column"] else matter, match["key"])
            if into[0] is matter and match["key"] not in _KEYS:
                hint = did_you_mean(match["key"], _KEYS)
                raise DefinitionError(f"{where}, line {number}: unknown key {match['key']}.", hint)
            into[0][into[1]] = match["value"].strip()
        elif into is not None and (match := _CONTINUED.fullmatch(line.rstrip())):
            into[0][into[1]] += " " + match["value"].strip()
        else:
            raise DefinitionError(
                f"{where}, line {number}: front matter is `-- key: value` lines.",
                "Leave a blank line before a comment on the SQL.",
            )
    for key in ("title", "description", "grain"):
        if not matter.get(key):
            raise DefinitionError(f"{where}: front matter lacks `-- {key}:`.")
    if matter.get("requires", "") not in ("", CALENDAR):
        raise DefinitionError(f"{where}: `requires` knows only {CALENDAR}.")
    return View(
        name=name,
        topic=topic,
        title=matter["title"],
        description=matter["description"],
        grain=_names(matter["grain"]),
        source=matter.get("source", ""),
        requires=matter.get("requires", ""),
        parameters=_names(matter.get("parameters", "")),
        docs=docs,
        cells=_cells(matter.get("cells", ""), where),
        sql="\n".join(lines[body:]).strip().rstrip(";"),
        where=where,
    )


def _cells(text: str, where: str) -> dict[str, tuple[str, ...]]:
    """Return the counts of patients that front matter declares, with what stands on each.

    Examples:
        >>> _cells("n_patients (mean_age, share); n_female", "x.sql")
        {'n_patients': ('mean_age', 'share'), 'n_female': ()}
    """
    found: dict[str, tuple[str, ...]] = {}
    for each in filter(str.strip, text.split(";")):
        match = _CELL.fullmatch(each.strip())
        if match is None:
            raise DefinitionError(f"{where}: `cells` reads n_patients (mean_age, ...); n_female.")
        found[match["count"]] = _names(match["figures"] or "")
    if found and next(iter(found)) != PATIENTS:
        raise DefinitionError(f"{where}: `cells` begins with {PATIENTS}.")
    return found


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def read_folder(folder: Path) -> dict[str, View]:
    """Return the views of one folder by name; every ``.sql`` below it is one.

    Raises:
        DefinitionError: A file is at fault, or two have one name, or the name of a table.
    """
    found: dict[str, View] = {}
    for path in sorted(folder.rglob("*.sql")):
        view = parse_view(path.read_text(encoding="utf-8"), path.parent.name, path.stem)
        if view.name in found:
            raise DefinitionError(f"{view.where}: {found[view.name].where} has that name already.")
        if view.name in load_tables():
            raise DefinitionError(f"{view.where}: there is a table of that name.")
        found[view.name] = view
    return found


@cache
def _shipped() -> Mapping[str, View]:
    return read_folder(resource("sql"))


def load_views(folders: Iterable[Path] = ()) -> dict[str, View]:
    """Return every view by name: those shipped, then those of a site's own folders.

    A site's view is checked whole (see ``validate``); the shipped ones are, by the tests.

    Args:
        folders: Folders with further ``.sql`` files.

    Raises:
        DefinitionError: A file is at fault, or takes a name that is taken.
    """
    views = dict(_shipped())
    for folder in folders:
        added = read_folder(folder)
        for name, view in added.items():
            if name in views:
                raise DefinitionError(f"{view.where}: there is a shipped view of that name.")
        views.update(added)
        for view in added.values():
            validate(view, views)
    return views


def validate(view: View, views: Mapping[str, View]) -> None:
    """Check a view against the rules that its text alone cannot break.

    Args:
        view: The view.
        views: All views, among them those it reads.

    Raises:
        DefinitionError: It reads what does not exist, ends in ``*``, has a column without a name
            or twice, documents a column it does not have, or its grain names none.
    """
    if "*" in view.columns:
        raise DefinitionError(
            f"{view.where}: the outer SELECT has a *.", "Name its columns one by one."
        )
    columns = view.columns
    if "" in columns or len(set(columns)) != len(columns):
        raise DefinitionError(f"{view.where}: every column needs a name of its own.")
    cells = [n for count, figures in view.cells.items() for n in (count, *figures)]
    for what, names in (("column doc", view.docs), ("grain", view.grain), ("cells", cells)):
        for name in names:
            if name not in columns:
                raise DefinitionError(
                    f"{view.where}: {what} names {name}, which is no column of the view.",
                    did_you_mean(name, columns),
                )
    known = {*views, *load_tables()}
    for name in sorted(view.depends_on):
        if not name.startswith(f"{CODES}.") and name not in known:
            raise DefinitionError(
                f"{view.where}: there is no table or view named {name}.", did_you_mean(name, known)
            )


def closure(names: Iterable[str], views: Mapping[str, View], stop: Iterable[str] = ()) -> list[str]:
    """Return the views that some names stand on, themselves included, inputs first.

    Args:
        names: Views (tables and code sets among them are passed over).
        views: All views.
        stop: Names not to look behind, because they are given.

    Raises:
        DefinitionError: Views read each other in a circle.
    """
    given = set(stop)
    graph: dict[str, frozenset[str]] = {}
    ahead = [n for n in names if n in views and n not in given]
    while ahead:
        name = ahead.pop()
        if name not in graph:
            graph[name] = frozenset(
                d for d in views[name].depends_on if d in views and d not in given
            )
            ahead.extend(graph[name])
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise DefinitionError(f"Views read each other in a circle: {circle}.") from None


def create(view: View, sql: str) -> str:
    """Return the CREATE statement of a view or macro over a SELECT."""
    if view.parameters:
        return f"CREATE MACRO {view.name}({', '.join(view.parameters)}) AS TABLE {sql}"
    return f"CREATE VIEW {view.name} AS {sql}"


def ddl(view: View) -> str:
    """Return the CREATE statement of a view or macro as its file defines it."""
    return create(view, view.sql)


def comment_on(view: View, text: str) -> str:
    """Return the COMMENT statement of a view or macro; the text is a SQL literal."""
    return f"COMMENT ON {'MACRO TABLE' if view.parameters else 'VIEW'} {view.name} IS {text}"


def literal(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def column_docs(
    view: View, views: Mapping[str, View], known: dict[str, dict[str, str]] | None = None
) -> dict[str, str]:
    """Return what each column holds: its own doc, else that of the input it is passed on from.

    An input's doc counts when every input that has a column of the name says the same of it.

    Args:
        view: The view.
        views: All views.
        known: What is known already, by view; filled on the way.
    """
    known = {} if known is None else known
    if view.name in known:
        return known[view.name]
    tables = load_tables()
    inputs: list[Mapping[str, str]] = []
    for source in view.depends_on:
        if source in tables:
            inputs.append({c.name: c.doc for c in tables[source].columns.values()})
        elif source in views:
            docs = column_docs(views[source], views, known)
            inputs.append({c: docs.get(c, "") for c in views[source].columns})
    known[view.name] = dict(view.docs)
    for name in view.columns:
        said = {docs[name] for docs in inputs if name in docs}
        if name not in view.docs and len(said) == 1 and said != {""}:
            known[view.name][name] = said.pop()
    return known[view.name]


def comments(view: View, docs: Mapping[str, str]) -> list[str]:
    """Return the COMMENT statements that publish a view's front matter and its column docs."""
    about = f"{view.title}. {view.description}" + (f" Source: {view.source}" if view.source else "")
    statements = [comment_on(view, literal(about))]
    if not view.parameters:
        statements += [
            f'COMMENT ON COLUMN {view.name}."{column}" IS {literal(doc)}'
            for column, doc in docs.items()
        ]
    return statements

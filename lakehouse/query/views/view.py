"""A SQL view as its file defines it: ``sql/<topic>/<name>.sql`` with front matter and one SELECT.

Front matter is lines of ``-- key: value``; a comment line indented by two more blanks continues
the line before it:

- ``title``, ``description``, ``grain`` (columns that identify a row): always
- ``source``: the publication of the definition; always for a risk score
- ``requires: calendar``: the view compares patients in time. Under ``safe_harbor`` every patient
  has a time line of its own, so the view exists under ``limited`` only
- ``cells: n_patients (mean_age, ...); n_with_diabetes; ...``: a view of counts: each count of
  patients, the row's own first, with the figures computed from these patients. A minimum cell size
  applies to each count by itself, and shows these columns and the grain only
- ``parameters: ts``: the file defines a table macro, ``SELECT ... FROM charlson_at(ts)``
- ``reading: GIVEN for NAME through VIEW, VIEW``: the views from NAME up to this one, in this order,
  read the rows of GIVEN instead of NAME. A cohort needs a score for few visits, but the score is a
  view of all, and no engine pushes a condition on visits through its windows. GIVEN must hold whole
  groups: whole visits for a score
- ``column NAME: what it holds``: for a risk score, every column that no input documents already

The SELECT names other views and tables directly and code sets as ``codes.<stem>``. It ends in
explicit columns, because an outer ``SELECT *`` changes with its inputs and has no lineage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.query import errors
from lakehouse.query.views import syntax
from lakehouse.query.views.syntax import TABLE_FUNCTIONS

DIALECT = "duckdb"
PATIENTS = "n_patients"
"""Column with the number of distinct patients behind a row."""

CODES = "codes"
"""Schema of the code sets."""

CALENDAR = "calendar"
"""Value of ``requires`` for a view that compares patients in time."""

CALENDAR_PROFILES = frozenset({"limited"})
"""Profiles under which all patients share one calendar."""

_KEYS = frozenset(
    {"title", "description", "grain", "source", "requires", "parameters", "cells", "reading"}
)
_LINE = re.compile(r"--\s(?P<column>column\s+)?(?P<key>\w+):\s*(?P<value>.*)")
_CONTINUED = re.compile(r"--\s{3,}(?P<value>\S.*)")
_CELL = re.compile(r"(?P<count>\w+)\s*(\((?P<figures>[\w\s,]+)\))?")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_READING = re.compile(r"(?P<given>\w+) for (?P<name>\w+) through (?P<through>[\w\s,]+)")


@dataclass(frozen=True)
class View:
    """One view as its file defines it.

    Attributes:
        name: Name in SQL, the file's stem.
        topic: The folder: ``concepts``, ``risk``, ``cohort``, ...
        title: A few words, for lists.
        description: What it shows and how.
        grain: Columns that together name one row.
        source: Publication of the definition; empty without one.
        requires: ``calendar`` or empty.
        parameters: Arguments, when the file defines a table macro.
        docs: What each documented column holds.
        cells: Counts of patients, each with its figures; empty for a view without counts.
        reading: The view to read, the name it replaces, and the views between; empty without any.
        written: The SELECT as the file has it, where ``sql`` has other views as CTEs.
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
    reading: tuple[str, ...] = ()
    written: str = field(default="", repr=False)
    sql: str = field(default="", repr=False)
    where: str = ""

    @cached_property
    def tree(self) -> Mapping[str, Any]:
        """DuckDB's syntax tree of the SELECT.

        Raises:
            DefinitionError: The file does not hold exactly one SELECT.
        """
        statements = syntax.parse(self.sql)
        if statements is None:
            try:
                syntax.statement_kinds(self.sql)
            except duckdb.Error as error:
                said = errors.text_of(error)
                raise DefinitionError(f"{self.where}: the SQL does not parse: {said}") from None
        if statements is None or len(statements) != 1:
            raise DefinitionError(f"{self.where}: a view is exactly one SELECT.")
        return statements[0]

    @cached_property
    def query(self) -> Any:
        """The SELECT as a sqlglot expression, which callers rewrite."""
        import sqlglot

        return sqlglot.parse_one(self.sql, dialect=DIALECT)

    @cached_property
    def depends_on(self) -> frozenset[str]:
        """Tables, views, macros and ``codes.<stem>`` that the SELECT reads."""
        return frozenset(sources(self.tree))

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Names that the SELECT of the file reads, before other views become CTEs of it."""
        return frozenset(sources((syntax.parse(self.written) or [self.tree])[0]))

    @cached_property
    def columns(self) -> list[str]:
        """Names of the result's columns, in order."""
        return syntax.result_columns(self.tree)

    def is_available(self, profile: str) -> bool:
        """Return whether the view can exist under a de-identification profile."""
        return self.requires != CALENDAR or profile in CALENDAR_PROFILES


def sources(statement: Any) -> set[str]:
    """Return the tables, views, macros and ``codes.<stem>`` that a SELECT reads; no CTE names.

    Examples:
        >>> (select,) = syntax.parse("WITH x AS (FROM t) FROM x JOIN codes.units USING (a)")
        >>> sorted(sources(select))
        ['codes.units', 't']
    """
    names = set()
    for reference in syntax.references(statement):
        if reference.kind == syntax.TABLE:
            names.add(".".join(filter(None, (reference.schema, reference.name))))
        elif reference.kind == syntax.FUNCTION and reference.name not in TABLE_FUNCTIONS:
            names.add(reference.name)
    return names


def parse_view(text: str, topic: str, name: str) -> View:
    """Parse one view file.

    Raises:
        DefinitionError: Front matter is missing or has an unknown key, or the name is invalid.
    """
    where = f"{topic}/{name}.sql"
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{where}: a view's name is lower-case letters, digits and _.", "Rename the file."
        )
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
            raise DefinitionError(f"{where}: front matter lacks `-- {key}:`.", "Add the line.")
    if matter.get("requires", "") not in ("", CALENDAR):
        raise DefinitionError(f"{where}: `requires` knows only {CALENDAR}.")
    reading = _READING.fullmatch(matter.get("reading", ""))
    if "reading" in matter and reading is None:
        raise DefinitionError(f"{where}: `reading` reads GIVEN for NAME through VIEW, VIEW.")
    return View(
        name=name,
        topic=topic,
        title=matter["title"],
        description=matter["description"],
        grain=_split_names(matter["grain"]),
        source=matter.get("source", ""),
        requires=matter.get("requires", ""),
        parameters=_split_names(matter.get("parameters", "")),
        docs=docs,
        cells=_parse_cells(matter.get("cells", ""), where),
        reading=(reading["given"], reading["name"], *_split_names(reading["through"]))
        if reading
        else (),
        sql="\n".join(lines[body:]).strip().rstrip(";"),
        where=where,
    )


def _parse_cells(text: str, where: str) -> dict[str, tuple[str, ...]]:
    """Return the counts of patients that front matter declares, each with its figures.

    Examples:
        >>> _parse_cells("n_patients (mean_age, share); n_female", "x.sql")
        {'n_patients': ('mean_age', 'share'), 'n_female': ()}
    """
    figures: dict[str, tuple[str, ...]] = {}
    for each in filter(str.strip, text.split(";")):
        match = _CELL.fullmatch(each.strip())
        if match is None:
            raise DefinitionError(f"{where}: `cells` reads n_patients (mean_age, ...); n_female.")
        figures[match["count"]] = _split_names(match["figures"] or "")
    if figures and next(iter(figures)) != PATIENTS:
        raise DefinitionError(f"{where}: `cells` begins with {PATIENTS}.", "Move it to the front.")
    return figures


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def create(view: View, sql: str) -> str:
    """Return the CREATE statement of a view or macro over a SELECT."""
    if view.parameters:
        return f"CREATE MACRO {view.name}({', '.join(view.parameters)}) AS TABLE {sql}"
    return f"CREATE VIEW {view.name} AS {sql}"


def ddl(view: View) -> str:
    """Return the CREATE statement of a view or macro as its file defines it."""
    return create(view, view.sql)


def sql_literal(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"

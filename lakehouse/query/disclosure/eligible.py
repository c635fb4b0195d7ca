"""The words of a query that small cells can be judged in: its sources, keys and conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlglot import exp

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import QueryError
from lakehouse.query.views.view import CODES, DIALECT, PATIENTS

COUNT, LEVEL, KEPT, BEHIND, VALUES = "_cell_n", "_cell_level", "_cell_kept", "_cell_n", "_cell_v"
"""Columns that a plan adds; the last two get a number, one for each figure."""

PATIENT_KEYS = ("patient_id", "study_id")
_IDENTIFYING = ("patient", "identifier", "uid", "name", "contact", "url", "biometric", "other_id")
_PLAIN = (
    exp.And, exp.Or, exp.Not, exp.Paren, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE,
    exp.Between, exp.In, exp.Is, exp.Null, exp.Boolean, exp.Literal, exp.Column, exp.Identifier,
    exp.Placeholder, exp.Parameter, exp.Like, exp.ILike, exp.StartsWith, exp.Neg, exp.Var,
    exp.DataType, exp.TimestampTrunc, exp.DateTrunc, exp.Extract, exp.Year, exp.Quarter, exp.Month,
    exp.Week, exp.Day, exp.Case, exp.If, exp.Coalesce, exp.Lower, exp.Upper, exp.Substring,
    exp.Left, exp.Floor, exp.IntDiv, exp.Div, exp.Mul,
)  # fmt: skip
"""What a condition or a key may consist of: nothing that aggregates, reads rows or can fail."""

ADVICE = (
    "Write SELECT key, count(*) AS n FROM one table or view with a patient_id GROUP BY key, "
    f"or read a view with {PATIENTS}."
)


@dataclass(frozen=True)
class Measure:
    """Result columns that are blanked together.

    Attributes:
        names: The columns.
        behind: Column with the number of patients behind them; by default those of the row.
        whole: Whether the patients of the row that are not behind them are a cell as well.
        values: Column with the number of distinct values, when few of them give counts away.
    """

    names: tuple[str, ...]
    behind: str = COUNT
    whole: bool = False
    values: str = ""


@dataclass(frozen=True)
class Relations:
    """What is known of the tables and views.

    Attributes:
        columns_of: Columns of a table or view, by its name.
        grain: Key columns of each view.
        cells: Counts of patients of each view, each with the figures that stand on it.
    """

    columns_of: Callable[[str], Sequence[str]]
    grain: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)


def not_eligible(what: str, instead: str = ADVICE) -> QueryError:
    """Return the error that something cannot be judged, and what to write instead."""
    return QueryError(f"A minimum cell size cannot judge {what}.", instead)


def same_expression(one: Any, other: Any) -> bool:
    """Return whether two expressions read alike, whatever table is named before a column."""
    text = [str(e.sql(dialect=DIALECT)).lower() for e in (one, other)]
    if isinstance(one, exp.Column) and isinstance(other, exp.Column):
        bare = not one.table or not other.table
        return text[0] == text[1] or (bare and one.name.lower() == other.name.lower())
    return text[0] == text[1]


def aggregates(item: Any) -> Iterator[Any]:
    """Yield the aggregates and unknown functions of a select item."""
    for node in item.walk():
        if isinstance(node, exp.AggFunc) or (
            isinstance(node, exp.Func) and not isinstance(node, (*_PLAIN, exp.Round, exp.Cast))
        ):
            yield node


def identifying(column: str) -> bool:
    """Return whether a column tells single patients, visits or records apart."""
    return column.endswith(("_id", "_uid", "_key")) or column in _identifiers()


@cache
def _identifiers() -> set[str]:
    return {
        c.name
        for table in load_tables().values()
        for c in table.columns.values()
        if c.phi.partition(".")[0] in _IDENTIFYING
    }


def _name(source: Any, *, aliased: bool = True) -> str:
    """Return what a source is called, a macro as well, in lower case."""
    called = source.this
    if aliased and source.alias:
        return str(source.alias).lower()
    if isinstance(called, exp.Func):
        return str(called.this if isinstance(called, exp.Anonymous) else called.key).lower()
    return str(source.name).lower()


def _no_column(column: Any) -> None:
    raise not_eligible("a macro whose argument is no constant", "Give a time as a literal.")


class Sources:
    """What a query reads, and whose patients."""

    def __init__(self, query: Any, known: Relations) -> None:
        first = query.args["from_"].this
        self._names: dict[str, set[str] | None] = {}
        columns = self._add(first, known)
        found = next((k for k in PATIENT_KEYS if columns and k in columns), None)
        if found is None:
            name = _name(first, aliased=False)
            raise not_eligible(
                "groups of a source without patients",
                f"It has its counts: SELECT {', '.join(known.grain[name])}, {PATIENTS} FROM {name}."
                if name in known.cells
                else ADVICE,
            )
        self.patient = exp.column(found, table=_name(first))
        for join in query.args.get("joins") or []:
            self._join(join, known)

    def _add(self, source: Any, known: Relations) -> set[str] | None:
        """Take in a table, view, macro or code set; return its columns, None for a code set."""
        if not isinstance(source, exp.Table):
            raise not_eligible("anything but tables and views in FROM")
        called = source.this
        if isinstance(called, exp.Anonymous):
            for argument in called.expressions:
                check_allowed(argument, _no_column)
        name = _name(source, aliased=False)
        code_set = source.db.lower() == CODES
        columns = None if code_set else {c.lower() for c in known.columns_of(name)}
        if columns is not None and not columns:
            raise not_eligible("anything but tables and views in FROM")
        if source.args.get("pivots") or (source.args.get("alias") and source.args["alias"].columns):
            raise not_eligible(
                "a table whose columns are renamed or pivoted", "Name the table alone."
            )
        if isinstance(called, exp.Func) and not source.alias:
            source.set("alias", exp.TableAlias(this=exp.to_identifier(name)))  # to name columns by
        self._names[_name(source)] = columns
        return columns

    def _join(self, join: Any, known: Relations) -> None:
        odd = join.args.get("method") or join.side not in ("", "LEFT") or join.kind not in (
            "", "INNER", "OUTER",
        )  # fmt: skip
        columns = self._add(join.this, known)
        using = [u.name.lower() for u in join.args.get("using") or []]
        on = join.args.get("on")
        parts = list(on.flatten()) if isinstance(on, exp.And) else [on] if on is not None else []
        joined = "patient_id" in using
        for part in parts:
            sides = [part.this, part.expression] if isinstance(part, exp.EQ) else []
            if sides and all(isinstance(s, exp.Column) for s in sides):
                joined |= all(s.name.lower() == "patient_id" for s in sides) and (
                    sides[0].table.lower() != sides[1].table.lower()
                )
            else:
                check_allowed(part, self.check)
        if odd or not (using or parts) or (columns is not None and not joined):
            raise not_eligible(
                "a join by something else than the patient", "Join: JOIN x USING (patient_id)."
            )

    def check(self, column: Any) -> None:
        """Refuse a column that does not exist, or that tells patients apart.

        Raises:
            QueryError: It is one of these.
        """
        name, table = column.name.lower(), column.table.lower()
        sets = [self._names[table]] if table in self._names else list(self._names.values())
        if (table and table not in self._names) or not any(
            (table and columns is None) or name in (columns or ()) for columns in sets
        ):
            raise not_eligible(
                "a column of none of the sources", "Name columns of the tables and views in FROM."
            )
        if identifying(name) or name.startswith(PATIENTS):
            raise not_eligible(
                "a key or condition on single patients, visits or records",
                "Group by what many patients share.",
            )


def check_allowed(expression: Any, check: Callable[[Any], None]) -> None:
    """Check a key or condition: columns, constants and what compares and bands them.

    Args:
        expression: The key or condition.
        check: Told each column; raises for one that may not be there.

    Raises:
        QueryError: It holds something else.
    """
    for node in expression.walk():
        if isinstance(node, exp.Cast):
            fine = isinstance(node.this, (exp.Literal, exp.Placeholder, exp.Parameter))
        elif isinstance(node, (exp.Mul, exp.Div, exp.IntDiv)):
            fine = isinstance(node.expression, exp.Literal)
        elif isinstance(node, exp.In):
            fine = not node.args.get("query") and not node.args.get("unnest")
        else:
            fine = isinstance(node, _PLAIN)
        if not fine:
            raise not_eligible(
                "this function or operator outside an aggregate",
                "Use columns, comparisons, CASE, date_trunc, floor(x / 10), lower, substr.",
            )
        if isinstance(node, exp.Column):
            check(node)

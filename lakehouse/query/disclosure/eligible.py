"""Which SQL sources, keys and conditions small-cell suppression accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlglot import exp

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import QueryError
from lakehouse.query.views.view import CODES, DIALECT, PATIENTS

COUNT, LEVEL, PASSES_WHERE, BEHIND, VALUES = (
    "_cell_n",
    "_cell_level",
    "_cell_kept",
    "_cell_n",
    "_cell_v",
)
"""Columns that a plan adds; the last two get a number for each measure."""

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
"""Parts that a condition or key may have: none aggregates, reads rows or can fail."""

ADVICE = (
    "Write SELECT key, count(*) AS n FROM one table or view with a patient_id GROUP BY key, "
    f"or read a view with {PATIENTS}."
)


@dataclass(frozen=True)
class Measure:
    """Result columns that are blanked together, because the same patients are behind them.

    Attributes:
        names: The columns.
        count_column: Column with the number of patients behind them; by default those of the row.
        has_complement: Whether the other patients of the row are a cell as well.
        values_column: Column with the number of distinct values; empty when it reveals no count.
    """

    names: tuple[str, ...]
    count_column: str = COUNT
    has_complement: bool = False
    values_column: str = ""


@dataclass(frozen=True)
class Relations:
    """Columns, grain and cells of the tables and views.

    Attributes:
        columns_of: Columns of a table or view, by its name.
        grain: Key columns of each view.
        cells: Counts of patients of each view, each with its figures.
    """

    columns_of: Callable[[str], Sequence[str]]
    grain: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)


def not_eligible(what: str, instead: str = ADVICE) -> QueryError:
    """Return the error for SQL that suppression does not accept, with an alternative."""
    return QueryError(f"A minimum cell size cannot judge {what}.", instead)


def same_expression(one: Any, other: Any) -> bool:
    """Return whether two expressions are equal but for the table before a column."""
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


def is_identifying(column: str) -> bool:
    """Return whether a column identifies single patients, visits or records."""
    return column.endswith(("_id", "_uid", "_key")) or column in _identifying_columns()


@cache
def _identifying_columns() -> set[str]:
    return {
        c.name
        for table in load_tables().values()
        for c in table.columns.values()
        if c.phi.partition(".")[0] in _IDENTIFYING
    }


def _source_name(source: Any, *, aliased: bool = True) -> str:
    """Return the name or alias of a table, view or macro in lower case."""
    called = source.this
    if aliased and source.alias:
        return str(source.alias).lower()
    if isinstance(called, exp.Func):
        return str(called.this if isinstance(called, exp.Anonymous) else called.key).lower()
    return str(source.name).lower()


def _no_column(column: Any) -> None:
    raise not_eligible("a macro whose argument is no constant", "Give a time as a literal.")


class Sources:
    """The sources of a query, and the column that names their patients."""

    def __init__(self, query: Any, relations: Relations) -> None:
        first = query.args["from_"].this
        self._names: dict[str, set[str] | None] = {}
        columns = self._add(first, relations)
        patient_key = next((k for k in PATIENT_KEYS if columns and k in columns), None)
        if patient_key is None:
            name = _source_name(first, aliased=False)
            raise not_eligible(
                "groups of a source without patients",
                f"Write SELECT {', '.join(relations.grain[name])}, {PATIENTS} FROM {name}."
                if name in relations.cells
                else ADVICE,
            )
        self.patient = exp.column(patient_key, table=_source_name(first))
        for join in query.args.get("joins") or []:
            self._join(join, relations)

    def _add(self, source: Any, relations: Relations) -> set[str] | None:
        """Add a table, view, macro or code set; return its columns, None for a code set."""
        if not isinstance(source, exp.Table):
            raise not_eligible("anything but tables and views in FROM")
        called = source.this
        if isinstance(called, exp.Anonymous):
            for argument in called.expressions:
                check_allowed(argument, _no_column)
        name = _source_name(source, aliased=False)
        code_set = source.db.lower() == CODES
        columns = None if code_set else {c.lower() for c in relations.columns_of(name)}
        if columns is not None and not columns:
            raise not_eligible("anything but tables and views in FROM")
        if source.args.get("pivots") or (source.args.get("alias") and source.args["alias"].columns):
            raise not_eligible(
                "a table whose columns are renamed or pivoted", "Name the table alone."
            )
        if isinstance(called, exp.Func) and not source.alias:
            source.set("alias", exp.TableAlias(this=exp.to_identifier(name)))  # to name columns by
        self._names[_source_name(source)] = columns
        return columns

    def _join(self, join: Any, relations: Relations) -> None:
        odd = join.args.get("method") or join.side not in ("", "LEFT") or join.kind not in (
            "", "INNER", "OUTER",
        )  # fmt: skip
        columns = self._add(join.this, relations)
        using = [u.name.lower() for u in join.args.get("using") or []]
        on = join.args.get("on")
        parts = list(on.flatten()) if isinstance(on, exp.And) else [on] if on is not None else []
        by_patient = "patient_id" in using
        for part in parts:
            sides = [part.this, part.expression] if isinstance(part, exp.EQ) else []
            if sides and all(isinstance(s, exp.Column) for s in sides):
                by_patient |= all(s.name.lower() == "patient_id" for s in sides) and (
                    sides[0].table.lower() != sides[1].table.lower()
                )
            else:
                check_allowed(part, self.check)
        if odd or not (using or parts) or (columns is not None and not by_patient):
            raise not_eligible(
                "a join by something else than the patient", "Join: JOIN x USING (patient_id)."
            )

    def check(self, column: Any) -> None:
        """Refuse a column that does not exist, or that identifies patients.

        Raises:
            QueryError: No source has the column, or it identifies patients, visits or records.
        """
        name, table = column.name.lower(), column.table.lower()
        sets = [self._names[table]] if table in self._names else list(self._names.values())
        if (table and table not in self._names) or not any(
            (table and columns is None) or name in (columns or ()) for columns in sets
        ):
            raise not_eligible(
                "a column of none of the sources", "Name columns of the tables and views in FROM."
            )
        if is_identifying(name) or name.startswith(PATIENTS):
            raise not_eligible(
                "a key or condition on single patients, visits or records",
                "Group by what many patients share.",
            )


def check_allowed(expression: Any, check: Callable[[Any], None]) -> None:
    """Check that a key or condition only compares or bands columns and constants.

    Args:
        expression: The key or condition.
        check: Called with each column; raises for one that is not allowed.

    Raises:
        QueryError: The expression has another part.
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

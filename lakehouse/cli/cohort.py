"""The command that builds, saves and compares cohorts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from lakehouse.cli.lineage import save as save_text
from lakehouse.errors import UserError

if TYPE_CHECKING:
    from lakehouse.query.cohorts.cohort import Cohort
    from lakehouse.query.cohorts.saved import SavedCohort
    from lakehouse.query.lakehouse import Lakehouse

Many = list[str] | None


@app.command(
    rich_help_panel=ASK,
    epilog=example(
        'lakehouse cohort t2dm --condition E11 --lab "4548-4 >= 6.5" --age 18-75 '
        '--within "365 days" --without condition=O24 --save'
    ),
)
def cohort(
    name: Annotated[
        str | None, typer.Argument(help="Its name; left out, saved ones are listed.")
    ] = None,
    condition: Annotated[Many, typer.Option(help="ICD code with all below it, or a name.")] = None,
    lab: Annotated[
        Many, typer.Option(metavar="'CODE OP N'", help="A result, as 'hba1c >= 6.5'.")
    ] = None,
    vital: Annotated[
        Many, typer.Option(metavar="'NAME OP N'", help="As 'systolic_bp > 140'.")
    ] = None,
    medication: Annotated[Many, typer.Option(help="Drug, class, family, code or ATC code.")] = None,
    procedure: Annotated[Many, typer.Option(help="Procedure code with all below it.")] = None,
    encounter: Annotated[Many, typer.Option(help="Class of a visit: inpatient ...")] = None,
    age: Annotated[str | None, typer.Option(metavar="LOW-HIGH", help="At the index time.")] = None,
    sex: Annotated[str | None, typer.Option(help="female, male, ...")] = None,
    state: Annotated[str | None, typer.Option(help="State of residence.")] = None,
    race: Annotated[str | None, typer.Option(help="Race, as patients_current has it.")] = None,
    ethnicity: Annotated[str | None, typer.Option(help="Ethnicity, likewise.")] = None,
    within: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Around the index time, as '365 days'.")
    ] = None,
    without: Annotated[
        Many, typer.Option(metavar="KIND=VALUE", help="What must not be, as condition=O24.")
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Keep it with its snapshots.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="What changed since it was saved.")] = False,
    text: Annotated[bool, typer.Option("--sql", help="Print its SQL.")] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw its attrition.")] = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write its patients to a file.")
    ] = None,
    as_of: AsOf = None,
    codes: Codes = None,
    views: Views = None,
    catalog: Catalog = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Find patients step by step, see how many each step leaves, and keep the cohort."""
    from lakehouse.query.lakehouse import Lakehouse

    asked: dict[str, Any] = {
        "condition": condition,
        "lab": [_comparison(v) for v in lab or ()],
        "vital": [_comparison(v) for v in vital or ()],
        "medication": medication,
        "procedure": procedure,
        "encounter": encounter,
        "age": _range(age),
        "sex": sex,
        "state": state,
        "race": race,
        "ethnicity": ethnicity,
    }
    asked = {kind: value for kind, value in asked.items() if value}
    with Lakehouse(
        warehouse, as_of=as_of, catalog=catalog, codes=codes or (), views=views or ()
    ) as lake:
        if name is None:
            saved = [(each,) for each in lake.cohort.names()]
            output.table(("cohort",), saved, as_json=as_json, empty="No cohorts are saved.")
            return
        if not asked and not without:
            found: Cohort | SavedCohort = lake.cohort.load(name)
        else:
            found = lake.cohort(name).where(within=within, without=_without(without), **asked)
        if diff:
            _diff(lake, name, as_json)
        elif text:
            typer.echo(found.sql())
        else:
            _tell(found, as_json)
        if svg is not None:
            save_text(svg, found.picture())
        if file is not None:
            output.write(found.rows(), None, file, 0)
        if save:
            output.note(f"Saved as {_to_save(found).save()}.")


def _to_save(found: Cohort | SavedCohort) -> Cohort:
    from lakehouse.query.cohorts.cohort import Cohort

    return found if isinstance(found, Cohort) else found.now()


def _tell(found: Cohort | SavedCohort, as_json: bool) -> None:
    rows = found.attrition().to_pylist()
    output.table(
        ("step", "asks", "patients", "lost"),
        [(r["step"], r["asks"], r["n_patients"], r["lost"]) for r in rows],
        as_json=as_json,
        title=found.name,
    )


def _diff(lake: Lakehouse, name: str, as_json: bool) -> None:
    changed = lake.cohort.load(name).diff().to_pylist()
    output.table(
        ("patient", "change", "index then", "index now", "definition"),
        [tuple(r.values()) for r in changed],
        as_json=as_json,
        empty="Nothing changed since it was saved.",
    )


def _comparison(text: str) -> tuple[str, str, float]:
    """Read a comparison, with or without blanks.

    Examples:
        >>> _comparison("hba1c>=6.5"), _comparison("4548-4 < 7")
        (('hba1c', '>=', 6.5), ('4548-4', '<', 7.0))
    """
    match = re.fullmatch(r"\s*([^<>=]+?)\s*(<=|>=|<|>|=)\s*([-+]?\d+(?:\.\d+)?)\s*", text)
    if match is None:
        raise UserError("A comparison reads 'NAME OPERATOR NUMBER'.", "As 'hba1c >= 6.5'.")
    return match[1], match[2], float(match[3])


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    low, dash, high = text.partition("-")
    if not (dash and low.strip().isdigit() and high.strip().isdigit()):
        raise UserError("An age reads LOW-HIGH.", "As 18-75.")
    return int(low), int(high)


def _without(given: list[str] | None) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for each in given or ():
        kind, sign, value = each.partition("=")
        if not sign:
            raise UserError("--without reads KIND=VALUE.", "As condition=O24.")
        one: Any = _comparison(value) if kind in ("lab", "vital") else value
        found.setdefault(kind, []).append(_range(value) if kind == "age" else one)
    return found or None

"""Every shipped view: front matter, explicit columns, docs, plain types, cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError, QueryError
from lakehouse.query.views.code_sets import code_set_names, create_codes, load_codes
from lakehouse.query.views.docs import column_docs
from lakehouse.query.views.evaluate import connect, evaluate_view
from lakehouse.query.views.library import (
    dependency_order,
    inline_readers,
    load_views,
    read_folder,
    validate,
)
from lakehouse.query.views.view import CODES, ddl, parse_view

CASES = Path(__file__).parents[1] / "data" / "views"
views = load_views()
every_view = pytest.mark.parametrize("name", sorted(views))

TYPES = {
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "DATE",
    "TIMESTAMP WITH TIME ZONE", "VARCHAR[]",
}  # fmt: skip
"""What BI tools, polars, Spark and Arrow all read; no HUGEINT (cast a sum), DECIMAL, INTERVAL."""


@every_view
def test_view_is_well_defined(name: str) -> None:
    validate(views[name], views)


@every_view
def test_view_reads_known_code_sets(name: str) -> None:
    read = {d.partition(".")[2] for d in views[name].depends_on if d.startswith(f"{CODES}.")}
    assert read <= set(code_set_names())


Ask = Callable[..., duckdb.DuckDBPyConnection]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """A function that asks for all of a view, where all views stand on empty tables."""
    library = inline_readers(views)
    with connect() as con:
        con.execute("SET threads = 1")  # for no rows, more of them only wait for each other
        create_codes(con, code_set_names())
        for table, definition in load_tables().items():
            _empty = definition.schema.empty_table()
            con.execute(f'CREATE TABLE "{table}" AS FROM _empty')
        for name in dependency_order(sorted(library), library):
            con.execute(ddl(library[name]))

        def ask(name: str, statement: str = "FROM {}") -> duckdb.DuckDBPyConnection:
            nulls = ", ".join("NULL" for _ in library[name].parameters)
            return con.execute(statement.format(f"{name}({nulls})" if nulls else name))

        yield ask


@every_view
def test_view_runs_on_empty_tables(name: str, ask: Ask) -> None:
    """An empty warehouse gives empty views (or a single line of zeros), never an error."""
    read = {d for n in dependency_order([name], views) for d in views[n].depends_on}
    found = len(ask(name).fetchmany(101))
    assert found <= 100 or not read & set(load_tables()), "a view over code sets alone has rows"


@every_view
def test_columns_have_types_that_every_reader_knows(name: str, ask: Ask) -> None:
    described = ask(name, "DESCRIBE FROM {}").fetchall()
    odd = {c: t for c, t, *_ in described if t not in TYPES}
    assert not odd, f"cast these: {odd}"


@every_view
def test_view_has_at_least_three_cases(name: str) -> None:
    assert len(list((CASES / name).glob("*.toml"))) >= 3, f"add cases to tests/data/views/{name}/"


def test_no_case_without_a_view() -> None:
    assert {p.name for p in CASES.iterdir() if p.is_dir()} <= set(views)


@pytest.mark.parametrize("name", sorted(n for n, v in views.items() if v.topic == "risk"))
def test_risk_score_names_its_publication(name: str) -> None:
    assert views[name].source


@every_view
def test_every_column_is_documented(name: str) -> None:
    """By the view itself, or by the table or view that the column is passed on from."""
    bare = set(views[name].columns) - set(column_docs(views[name], views))
    assert not bare, f"no `-- column NAME:` for {sorted(bare)}"


def test_views_that_need_a_calendar_say_so_all_the_way_up() -> None:
    """A view over a calendar view needs the calendar too, and should say it itself."""
    silent = [
        name
        for name, view in views.items()
        if view.is_available("safe_harbor")
        and any(not views[n].is_available("safe_harbor") for n in dependency_order([name], views))
    ]
    assert not silent


@pytest.mark.parametrize("name", code_set_names())
def test_code_set_key_is_unique(name: str) -> None:
    codes = load_codes(name)
    if codes.key:
        keys = codes.rows.select(list(codes.key)).to_pylist()
        assert len({tuple(k.values()) for k in keys}) == len(keys)


@every_view
def test_code_sets_of_views_name_their_source(name: str) -> None:
    read = {d.partition(".")[2] for d in views[name].depends_on if d.startswith(f"{CODES}.")}
    silent = [n for n in read if not load_codes(n).source]
    assert not silent, f"add `# source: ...` above the header of {silent}"


# The rules themselves.

GOOD = """\
-- title: A view
-- description: Something
--   over two lines.
-- grain: patient_id
-- column n: how many

-- why it is so
SELECT
    patient_id,
    count(*) AS n
FROM patients
GROUP BY patient_id
"""


def test_diagnoses_of_smoking_are_named_as_such() -> None:
    """smoking_status asks for the condition, and only then for the code."""
    listed = load_codes("conditions").rows.to_pylist()
    tobacco = [c for c in listed if c["condition"] in ("tobacco_use", "tobacco_use_history")]
    for row in load_codes("smoking_status").rows.to_pylist():
        assert row["origin"] != "diagnosis" or any(
            row["system"] == c["code_system"] and row["code"].startswith(c["prefix"])
            for c in tobacco
        ), row["code"]


def test_two_pressures_in_one_result_are_bounded_as_apart() -> None:
    rows = {r["analyte"]: r for r in load_codes("analyte_units").rows.to_pylist()}
    both = rows["blood_pressure"]
    for first, second, of in (
        ("plausible_low", "plausible_high", "systolic_bp"),
        ("second_low", "second_high", "diastolic_bp"),
    ):
        bounds = (rows[of]["plausible_low"], rows[of]["plausible_high"])
        assert (both[first], both[second]) == bounds and None not in bounds


def test_front_matter() -> None:
    view = parse_view(GOOD, "risk", "a_view")
    assert view.description == "Something over two lines."
    assert view.grain == ("patient_id",)
    assert view.docs == {"n": "how many"}
    assert view.columns == ["patient_id", "n"]
    assert view.depends_on == {"patients"}
    assert view.sql.startswith("-- why")
    validate(view, {"a_view": view})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("-- title: A view\n", ""), "lacks `-- title:`"),
        (("-- grain: patient_id\n", ""), "lacks `-- grain:`"),
        (("-- title:", "-- titel:"), "Did you mean title?"),
        (("-- column n: how many", "--how many"), "line 5"),
        (("-- column n:", "-- requires: clock\n-- column n:"), "requires"),
        (("-- column n:", "-- reading: patients\n-- column n:"), "GIVEN for NAME"),
    ],
)
def test_bad_front_matter_names_the_file(change: tuple[str, str], says: str) -> None:
    with pytest.raises(DefinitionError, match=r"risk/a_view\.sql") as caught:
        parse_view(GOOD.replace(*change), "risk", "a_view")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("    patient_id,\n    count(*) AS n", "    *"), "outer SELECT has a *"),
        (("FROM patients", "FROM patient"), "Did you mean patients"),
        (("-- column n:", "-- column m:"), "column doc names m"),
        (("-- grain: patient_id", "-- grain: patients_id"), "Did you mean patient_id"),
        (("count(*) AS n", "count(*) AS patient_id"), "name of its own"),
        (("SELECT\n", "DELETE FROM x; SELECT\n"), "exactly one SELECT"),
        (("SELECT\n", "INSERT INTO patients SELECT\n"), "exactly one SELECT"),
        (("GROUP BY", "GRUOP BY BY"), "does not parse"),
    ],
)
def test_bad_sql_names_the_file(change: tuple[str, str], says: str) -> None:
    view = parse_view(GOOD.replace(*change), "risk", "a_view")
    with pytest.raises(DefinitionError, match=r"risk/a_view\.sql") as caught:
        validate(view, {"a_view": view})
    assert says in str(caught.value)


def test_views_in_a_circle_are_refused(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        text = GOOD.replace("FROM patients", f"FROM {other}")
        (tmp_path / f"{name}.sql").write_text(text)
    with pytest.raises(DefinitionError, match="in a circle"):
        dependency_order(["a"], read_folder(tmp_path))


OF_FEW = GOOD.replace(
    "-- column n:", "-- reading: few for base through between, counts\n-- column n:"
)
"""A view that reads the rows of ``few`` where those below it read ``base``."""


def written(folder: Path, **views: str) -> Path:
    for name, text in views.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def test_a_view_reads_other_rows_through_all_views_between(tmp_path: Path) -> None:
    base = "patient_id, 1 AS n FROM patients"
    plain = f"{GOOD[: GOOD.index('SELECT')]}SELECT {{}}\n"
    folder = written(
        tmp_path,
        base=plain.format(base),
        few=plain.format("patient_id, n FROM base WHERE patient_id = 'p'"),
        between=plain.format("patient_id, n + 1 AS n FROM base"),
        counts=plain.format("patient_id, count(*) AS n FROM between GROUP BY patient_id"),
        above=OF_FEW.replace("count(*)", "sum(n)::INT").replace("FROM patients", "FROM counts"),
    )
    views = load_views([folder])
    assert views["above"].depends_on == {"counts"}
    assert inline_readers(views)["above"].depends_on == {"few"}
    patients = [{"record_id": r, "ordinal": 0, "patient_id": r} for r in "pq"]
    rows = evaluate_view("above", {"patients": patients}, folders=[folder])
    assert rows.to_pylist() == [{"patient_id": "p", "n": 1}]
    counted = [{"patient_id": "q", "n": 7}]
    rows = evaluate_view("above", {"counts": counted}, folders=[folder])
    assert rows.to_pylist() == [{"patient_id": "q", "n": 7}], "as the file has it"


GROUPS = "few for standing_conditions through patient_conditions, comorbidity_codes"


@pytest.mark.parametrize(
    ("reading", "source", "says"),
    [
        ("few for base through charlson", "patients", "reads base through no view"),
        (GROUPS, "charlson_conditions", "patient_conditions, comorbidity_codes, charlson_cond"),
        (
            f"{GROUPS}, comorbidity_diagnoses, charlson_scores, charlson_at",
            "charlson_at(now())",
            "through a macro",
        ),
    ],
)
def test_reading_other_rows_names_all_views_between(
    tmp_path: Path, reading: str, source: str, says: str
) -> None:
    text = OF_FEW.replace("few for base through between, counts", reading)
    folder = written(tmp_path, above=text.replace("FROM patients", f"FROM {source}"))
    with pytest.raises(DefinitionError, match=says):
        load_views([folder])


@pytest.mark.parametrize("name", sorted(n for n, v in views.items() if v.reading))
def test_a_view_that_has_others_in_itself_has_their_docs(name: str) -> None:
    within = inline_readers(views)
    assert within[name].depends_on != within[name].inputs == views[name].depends_on
    assert column_docs(within[name], within) == column_docs(views[name], views)


def test_the_cohort_of_sepsis_is_the_same_over_all_visits() -> None:
    """It asks SOFA about visits with a suspected infection only; its file asks about all."""
    at = [datetime(2130, 1, day, 8, tzinfo=UTC) for day in range(1, 5)]
    visits = [("p", "e"), ("p", "f"), ("q", "e")]
    tables = {
        "orders": [
            {"record_id": "o", "ordinal": n, "patient_id": p, "encounter_id": e, "code": "600-7",
             "code_system": "loinc", "observed_at": at[1]}
            for n, (p, e) in enumerate(visits[:2])
        ],
        "medication_list": [
            {"patient_id": p, "encounter_id": e, "drug": "ceftriaxone", "family": "antibiotic",
             "state": "active", "started_at": at[1]}
            for p, e in visits[1:]
        ],
        "observations": [
            {"record_id": f"r{p}{e}{n}", "ordinal": 0, "patient_id": p, "encounter_id": e,
             "code": code, "code_system": "loinc", "value_number": value, "unit": unit,
             "observed_at": time, "stated_at": time}
            for p, e in visits
            for n, time in enumerate(at)
            for code, value, unit in (
                ("777-3", 40.0 + n, "10*3/uL"), ("2524-7", 3.0 + n, "mmol/L"),
                ("9279-1", 26.0, "/min"), ("8480-6", 95.0 + n, "mm[Hg]"),
            )
        ],
    }  # fmt: skip
    found = evaluate_view("cohort_sepsis", tables).to_pylist()
    seen = {"observations": tables["observations"]}
    everywhere = {"sofa": evaluate_view("sofa", tables), "qsofa": evaluate_view("qsofa", seen)}
    assert everywhere["sofa"].num_rows > len(at), "visits without a suspicion have a SOFA, too"
    assert found == evaluate_view("cohort_sepsis", tables | everywhere).to_pylist()
    assert [(r["encounter_id"], r["sofa"], r["qsofa"]) for r in found] == [("f", 3, 2)]


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("WITH patients AS (SELECT a FROM x) SELECT a FROM patients", {"x"}),
        ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u) AND b IN (FROM V)", {"t", "u", "v"}),
        ("SELECT a FROM t, LATERAL (SELECT b FROM w WHERE w.x = t.x)", {"t", "w"}),
        ("SELECT a FROM range(3) AS r(a), unnest([1]) AS u(b)", set()),
        ("SELECT a FROM f(now()) JOIN codes.units USING (a)", {"f", "codes.units"}),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x FROM r, p) SELECT x FROM r",
            {"p"},
        ),
    ],
)
def test_sources(sql: str, read: set[str]) -> None:
    view = parse_view(GOOD[: GOOD.index("SELECT")] + sql, "risk", "x")
    assert view.depends_on == read


def test_rows_that_a_view_does_not_read_are_refused() -> None:
    with pytest.raises(QueryError, match="egfr does not read vital_signs"):
        evaluate_view("egfr", {"vital_signs": [{"patient_id": "p1"}]})
    rows = {"observations": [], "patients": [], "charges": []}
    assert evaluate_view("egfr", rows).num_rows == 0, "tables of a whole data set may be given"

"""The library in other dialects: it parses there, and Spark's version gives the same rows."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from lakehouse.errors import QueryError
from lakehouse.query.views.dialects import DIALECTS, Translation, script, translate
from lakehouse.query.views.library import load_views

views = load_views()


@pytest.fixture(scope="module", params=DIALECTS)
def library(request: pytest.FixtureRequest) -> tuple[str, list[Translation]]:
    return request.param, list(translate(request.param))


def test_every_view_is_translated_or_says_why_not(library: tuple[str, list[Translation]]) -> None:
    dialect, found = library
    assert {t.view.name for t in found} == set(views)
    left_out = {t.view.name for t in found if t.why}
    macros = {n for n, v in views.items() if v.parameters}
    assert all(bool(t.sql) != bool(t.why) for t in found)
    if dialect != "postgres":  # which has no IGNORE NULLS
        assert left_out == macros
    else:
        assert macros <= left_out
        assert len(left_out) < len(views) / 2


def test_what_comes_out_is_sql_of_that_dialect(library: tuple[str, list[Translation]]) -> None:
    dialect, found = library
    for each in found:
        if each.sql:
            query = sqlglot.parse_one(each.sql, dialect=dialect)
            assert query.named_selects == each.view.columns, each.view.name


def test_tables_are_named_by_schema(library: tuple[str, list[Translation]]) -> None:
    dialect, found = library
    for each in found:
        if each.sql:
            tree = sqlglot.parse_one(each.sql, dialect=dialect)
            ctes = {c.alias_or_name for c in tree.find_all(exp.CTE)}
            schemas = {t.db for t in tree.find_all(exp.Table) if t.name not in ctes or t.db}
            assert schemas <= {"lakehouse", "codes", ""}, each.view.name


def test_inputs_come_before_what_reads_them() -> None:
    names = [t.view.name for t in translate("spark", ("news2",))]
    assert names.index("latest_vitals") < names.index("news2")
    assert "lace" not in names


def test_the_script_can_be_run_from_top_to_bottom() -> None:
    text = "\n".join(script("trino", ("qsofa", "news2_at"), namespace="clinical"))
    assert "CREATE OR REPLACE VIEW clinical.qsofa AS" in text
    assert "FROM clinical.acute_values" in text
    assert "-- news2_at is left out: a table macro of DuckDB" in text
    sqlglot.parse(text, dialect="trino")


def test_unknown_dialects_and_views() -> None:
    with pytest.raises(QueryError, match="Did you mean spark"):
        list(translate("sparc"))
    with pytest.raises(QueryError, match="Did you mean qsofa"):
        list(translate("spark", ("qsoffa",)))

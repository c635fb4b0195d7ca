"""Lakehouse: questions, time travel, live view of new ingests, and errors that quote no data."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakehouse
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError, QueryError, UserError, WarehouseError
from lakehouse.query.connection.table_views import select_list
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.query.views.library import load_views
from lakehouse.storage.warehouse import Warehouse

from .conftest import Store, observations, settings

COUNT = "SELECT count(*) FROM observations"

CALENDAR_VIEW = """\
-- title: Census
-- description: Patients in the house by day.
-- grain: day
-- requires: calendar
SELECT
    admitted_at::DATE AS day,
    count(*) AS n
FROM encounters
GROUP BY day
"""


def count(lake: Lakehouse) -> int:
    row = lake.sql(COUNT).fetchone()
    assert row is not None
    return int(row[0])


def test_a_query_in_every_form(lake: Lakehouse) -> None:
    rows = lake.sql("SELECT patient_id, sex FROM patients ORDER BY patient_id")
    expected = [("p1", "female"), ("p2", "male")]
    assert rows.columns == ["patient_id", "sex"]
    assert rows.types == ["VARCHAR", "VARCHAR"]
    assert rows.fetchall() == expected
    assert list(rows) == expected
    assert len(rows) == 2
    assert rows.limit(1).fetchall() == expected[:1]
    assert rows.arrow().to_pylist() == [{"patient_id": p, "sex": s} for p, s in expected]
    assert rows.df().to_dict("list") == {"patient_id": ["p1", "p2"], "sex": ["female", "male"]}
    assert isinstance(rows.pl(), polars.DataFrame)
    assert pa.table(rows) == rows.arrow()
    assert rows.shape == (2, 2)
    assert rows.fetchmany(5) == expected
    assert sum(b.num_rows for b in lake.sql("FROM observations").batches(100)) == 1000


def test_parameters(lake: Lakehouse) -> None:
    one = lake.sql("SELECT sex FROM patients WHERE patient_id = ?", ["p2"]).fetchall()
    two = lake.sql("SELECT sex FROM patients WHERE patient_id = $id", {"id": "p2"}).fetchall()
    assert one == two == [("male",)]


@pytest.mark.parametrize(
    ("sql", "given", "says"),
    [
        ("SELECT $a + $b", {"a": 1}, "There is no value for $b."),
        ("SELECT $least", {"laest": 1}, "There is no value for $least."),
        ("SELECT $least", {"least": 1, "laest": 1}, "no parameter $laest. Did you mean least?"),
        ("SELECT ? + ?", [1], "The query has 2 ? and 1 values."),
        ("SELECT ?", None, "The query has 1 ? and 0 values."),
        ("SELECT 1", {"x": "DOE"}, "The query has no parameter $x."),
    ],
)
def test_parameters_that_do_not_fit_are_named(
    lake: Lakehouse, sql: str, given: Any, says: str
) -> None:
    with pytest.raises(QueryError) as caught:
        lake.sql(sql, given)
    assert says in str(caught.value)
    assert "DOE" not in str(caught.value)


def test_rows_are_written_to_files(lake: Lakehouse, tmp_path: Path) -> None:
    rows = lake.sql("SELECT patient_id, age_years FROM patients ORDER BY patient_id")
    rows.to_csv(tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "patient_id,age_years\np1,40\np2,90\n"
    rows.to_parquet(tmp_path / "x.parquet")
    rows.to_arrow(tmp_path / "x.arrow")
    assert pq.read_table(tmp_path / "x.parquet").equals(rows.arrow())
    assert pa.ipc.open_stream((tmp_path / "x.arrow").read_bytes()).read_all() == rows.arrow()
    buffer = io.BytesIO()
    lake.sql("FROM patients WHERE false").to_parquet(buffer)
    assert pq.read_table(buffer).column_names == list(load_tables()["patients"].columns)


def test_a_closed_lakehouse_says_so(filled: Path) -> None:
    with lakehouse.open(filled) as opened:
        rows = opened.sql(COUNT)
    for ask in (lambda: opened.sql(COUNT), rows.fetchall, lambda: opened.describe("patients")):
        with pytest.raises(QueryError, match="The lakehouse is closed"):
            ask()


def test_snapshots_of_a_view_are_those_of_its_tables(lake: Lakehouse) -> None:
    with pytest.raises(QueryError, match=r"egfr is a view.*observations"):
        lake.snapshots("egfr")


def test_what_there_is(lake: Lakehouse) -> None:
    assert lake.tables()[0] == "allergies"
    bookkeeping = sorted(n for n, table in load_tables().items() if table.bookkeeping)
    assert {"ingest_files", "ingests", "rejects"} <= set(bookkeeping)
    assert lake.tables()[-len(bookkeeping) :] == bookkeeping
    assert "patients_current" in lake.views()
    listed = lake.describe().to_pylist()
    assert [r["name"] for r in listed] == [*lake.tables(), *lake.views()]
    assert all(r["about"] for r in listed)


def test_describe_tells_type_and_meaning(lake: Lakehouse) -> None:
    columns = {r["column"]: r for r in lake.describe("observations").to_pylist()}
    assert columns["value_number"]["type"] == "DOUBLE"
    assert columns["observed_at"]["type"] == "TIMESTAMP WITH TIME ZONE"
    assert columns["value_number"]["about"] == "Numeric value, in `unit`."
    assert columns.keys() == load_tables()["observations"].columns.keys()


def test_docs_travel_into_comments(lake: Lakehouse) -> None:
    count(lake)
    comment = lake._session.con.execute(
        "SELECT comment FROM duckdb_columns() "
        "WHERE table_name = 'observations' AND column_name = 'value_number'"
    ).fetchone()
    assert comment == ("Numeric value, in `unit`.",)


def test_listings_show_tables_and_views_alike(lake: Lakehouse) -> None:
    names = {row[0] for row in lake.sql("SHOW TABLES").fetchall()}
    macros = {name for name, view in load_views().items() if view.parameters}
    assert {*lake.tables(), *lake.views()} - names == macros
    found = lake.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'observations'"
    )
    assert ("value_number",) in found.fetchall()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT patientid FROM patients", "no column named patientid. Did you mean patient_id"),
        ("SELECT p.sexx FROM patients AS p", "no column named sexx. Did you mean sex"),
        ("FROM patient", "no table or view named patient. Did you mean patients"),
        ("FROM codes.charlson_weight", "Did you mean codes.charlson_weights"),
        ("SELEC 1", "syntax error"),
        ("DELETE FROM patients", "Only a SELECT can run here, and this is a DELETE"),
    ],
)
def test_errors_in_one_line_with_the_way_out(lake: Lakehouse, sql: str, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        lake.sql(sql)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fetch", ["fetchall", "df", "pl", "arrow", "fetchone", "show", "batches"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT code::INT AS n FROM observations",
        "SELECT error(code) AS n FROM observations",
        "SELECT strptime(code, '%Y') AS n FROM observations",
    ],
)
def test_errors_never_quote_data(lake: Lakehouse, sql: str, fetch: str) -> None:
    with pytest.raises(QueryError) as caught:
        found = getattr(lake.sql(sql), fetch)()
        list(found)
    assert "2345-7" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_view_that_fails_leaves_no_empty_table_behind(filled: Path, tmp_path: Path) -> None:
    """Views are made over stand-ins; whatever happens, nobody reads one."""
    with lakehouse.open(filled) as opened:
        session = opened._session
        good = session.views["patients_current"]
        session.views["patients_current"] = replace(good, sql="SELECT nothing FROM patients")
        with pytest.raises(UserError, match="nothing"):
            opened.sql("FROM patients_current")
        assert opened.sql("SELECT count(*) FROM patients").fetchall() == [(2,)]
        session.views["patients_current"] = good
        assert opened.sql("SELECT count(*) FROM patients_current").fetchall() == [(2,)]


def test_a_session_that_stays_open_sees_the_next_ingest(empty: Path, store: Store) -> None:
    with lakehouse.open(empty) as lake:
        assert count(lake) == 0
        store(empty, {"observations": observations(10)})
        assert count(lake) == 10
        store(empty, {"observations": observations(5)})
        assert count(lake) == 15
        assert lake.sql("SELECT count(DISTINCT record_id) FROM observations").fetchall() == [(15,)]


def test_as_of_snapshot_time_and_ingest(empty: Path, store: Store) -> None:
    before = datetime.now(UTC)
    store(empty, {"observations": observations(10)})
    between = datetime.now(UTC) + timedelta(milliseconds=1)
    store(empty, {"observations": observations(5), "patients": [{"patient_id": "p1"}]})
    with lakehouse.open(empty) as lake:
        first, second = lake.snapshots("observations").column("snapshot_id").to_pylist()
    patients = "SELECT count(*) FROM patients"
    for as_of, n, m in [
        (first, 10, 0),
        (str(first), 10, 0),
        (second, 15, 1),
        (between, 10, 0),
        (between.isoformat(), 10, 0),
        (between.replace(tzinfo=None), 10, 0),
        (before, 0, 0),
        (None, 15, 1),
    ]:
        with lakehouse.open(empty, as_of=as_of) as lake:
            assert (count(lake), lake.sql(patients).fetchall()) == (n, [(m,)])
            store(empty, {"orders": [{"record_id": "x", "ordinal": 0}]})
            assert count(lake) == n


def test_as_of_what_never_was(empty: Path) -> None:
    for as_of in ("release-1", 42):
        with pytest.raises(QueryError, match="There is no"):
            lakehouse.open(empty, as_of=as_of)


def test_no_warehouse_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="lakehouse init"):
        lakehouse.open(tmp_path)


def test_the_place_comes_from_the_environment(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", str(filled))
    with lakehouse.open() as lake:
        assert count(lake) == 1000


def test_a_calendar_view_exists_under_limited_only(tmp_path: Path) -> None:
    (tmp_path / "views" / "operations").mkdir(parents=True)
    (tmp_path / "views" / "operations" / "census.sql").write_text(CALENDAR_VIEW)
    over = CALENDAR_VIEW.replace("-- requires: calendar\n", "").replace("encounters", "census")
    over = over.replace("admitted_at::DATE AS day", "day")
    (tmp_path / "views" / "operations" / "busiest.sql").write_text(over)
    for profile in ("safe_harbor", "limited"):
        Warehouse.create(tmp_path / profile, settings(profile)).close()
    with lakehouse.open(tmp_path / "limited", views=[tmp_path / "views"]) as lake:
        assert lake.sql("FROM busiest").fetchall() == []
        assert {"census", "busiest"} <= set(lake.views())
    with lakehouse.open(tmp_path / "safe_harbor", views=[tmp_path / "views"]) as lake:
        assert not {"census", "busiest"} & set(lake.views())
        for name in ("census", "busiest"):
            with pytest.raises(QueryError, match=r"^census.*compares patients in time") as caught:
                lake.sql(f"SELECT * FROM {name}")
            assert "\n" not in str(caught.value)


def test_a_sites_own_codes_extend_and_replace(tmp_path: Path, filled: Path) -> None:
    (tmp_path / "charlson_weights.csv").write_text(
        "condition,label,original_1987\naidshiv,AIDS,9\nnew,New,1\n"
    )
    (tmp_path / "wards.csv").write_text("unit,beds_high\nICU,12\n")
    query = "SELECT condition, original_1987 FROM codes.charlson_weights"
    with lakehouse.open(filled) as lake:
        shipped = dict(lake.sql(query).fetchall())
    with lakehouse.open(filled, codes=[tmp_path]) as lake:
        extended = dict(lake.sql(query).fetchall())
        assert lake.sql("FROM codes.wards").fetchall() == [("ICU", 12.0)]
    assert extended == {**shipped, "aidshiv": 9.0, "new": 1.0}


def test_a_sites_own_faults_are_named(tmp_path: Path, filled: Path) -> None:
    with pytest.raises(DefinitionError, match="There is no folder"):
        lakehouse.open(filled, codes=[tmp_path / "nowhere"])
    (tmp_path / "charlson_weights.csv").write_text("condition,wieght\nx,1\n")
    with lakehouse.open(filled, codes=[tmp_path]) as lake, pytest.raises(DefinitionError) as caught:
        lake.sql("FROM codes.charlson_weights")
    assert "wieght is no column" in str(caught.value)


def test_a_column_that_is_not_stored_yet_is_null() -> None:
    """A warehouse that may only be read keeps its older schema; views still bind."""
    columns = select_list(load_tables()["patients"], {"patient_id", "sex"})
    assert '"patient_id", ' in columns
    assert 'NULL::INTEGER AS "age_years"' in columns
    assert 'NULL::TIMESTAMPTZ AS "stated_at"' in columns


def test_sql_lists_the_views_and_what_columns_hold(lake: Lakehouse) -> None:
    listed = lake.sql("FROM lakehouse_views()").fetchall()
    views = load_views()
    assert [row[0] for row in listed] == sorted(views, key=lambda n: (views[n].topic, n))
    egfr = next(row for row in listed if row[0] == "egfr")
    assert egfr == ("egfr", "risk", views["egfr"].title, ", ".join(views["egfr"].grain), None)
    assert {row[4] for row in listed if row[0] == "bed_occupancy"} == {"calendar"}

    for name in ("egfr", "news2_at", "patients"):
        told = lake.sql(f"FROM lakehouse_columns('{name}')").fetchall()
        described = [tuple(row.values()) for row in lake.describe(name).to_pylist()]
        assert told == described
        assert all(about for _, _, about in told)
    both = lake.sql(
        "SELECT count(*) FROM (FROM lakehouse_columns('egfr') UNION ALL "
        "FROM lakehouse_columns('PATIENTS'))"
    )
    assert both.fetchall() == [(len(lake.describe("egfr")) + len(lake.describe("patients")),)]
    with pytest.raises(QueryError, match="Did you mean egfr"):
        lake.sql("FROM lakehouse_columns('egf')")
    with pytest.raises(QueryError, match="time line of its own"):
        lake.sql("FROM lakehouse_columns('bed_occupancy')")


def test_a_macro_takes_its_time_in_quotes(lake: Lakehouse) -> None:
    with pytest.raises(QueryError, match="news2_at takes a time"):
        lake.sql("SELECT * FROM news2_at")
    assert lake.sql("FROM news2_at('2130-01-31 12:00')").fetchall() == []


def test_the_default_list_of_a_session_has_no_code_sets(lake: Lakehouse) -> None:
    names = {row[0] for row in lake.sql("SHOW TABLES").fetchall()}
    assert names <= {*lake.tables(), *lake.views()}
    assert lake.sql("SELECT count(*) > 10 FROM codes.charlson_weights").fetchone() == (True,)

"""The views database: for DuckDB's own shell, for a plain ``duckdb -init``, and for BI tools."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import create_engine, inspect, text

import lakehouse
from lakehouse.definitions.tables import load_tables
from lakehouse.query.connection.location import WarehouseLocation, locate
from lakehouse.query.connection.shell_database import (
    database_url,
    fill,
    init_sql,
    prepare,
    shell_command,
)
from lakehouse.query.views.evaluate import connect, view_types
from lakehouse.query.views.library import load_views

from .conftest import Store, observations


@pytest.fixture(scope="module")
def init(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The init file of the filled warehouse, with a cache folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield prepare(locate(filled), filled / "shell")


def shell(init: Path, sql: str) -> str:
    done = subprocess.run(
        [*shell_command(init), "-csv", "-noheader", "-c", sql], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_shell_has_tables_views_macros_and_code_sets(init: Path) -> None:
    assert shell(init, "SELECT count(*) FROM observations") == "1000"
    assert shell(init, "SELECT count(*) FROM patients_current") == "2"
    assert shell(init, "SELECT count(*) FROM news2_at('2130-01-05'::TIMESTAMPTZ)").isdigit()
    assert int(shell(init, "SELECT count(*) FROM codes.charlson_weights")) > 10
    names = shell(init, "SELECT view_name FROM duckdb_views() WHERE NOT internal").splitlines()
    views = load_views()
    assert set(names) == {*load_tables(), *views}


def test_the_lists_of_a_shell_have_tables_and_views_and_no_code_sets(init: Path) -> None:
    """By `.tables`, by SHOW, and by `duckdb -init`; the code sets answer all the same."""
    listed = shell(init, ".tables")
    assert "observations" in listed
    assert "qsofa" in listed
    assert "charlson_weights" not in listed
    assert shell(init, "SELECT count(*) FROM (SHOW ALL TABLES) WHERE schema = 'codes'") == "0"
    assert "charlson_weights" in shell(init, "SHOW TABLES FROM codes").split()
    assert shell(init, "SELECT count(*) > 10 FROM codes.charlson_weights") == "true"
    binary = shell_command(init)[0]
    query = "SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND schema_name = 'codes'"
    done = subprocess.run(
        [binary, "-init", str(init), "-csv", "-noheader", "-c", query],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "0", done.stderr


def test_the_shell_lists_views_by_topic(init: Path) -> None:
    rows = shell(init, "SELECT name, topic, requires FROM lakehouse_views()").splitlines()
    views = sorted(load_views().values(), key=lambda v: (v.topic, v.name))
    assert rows == [f"{v.name},{v.topic},{v.requires or 'NULL'}" for v in views]
    assert shell(init, "SELECT grain FROM lakehouse_views() WHERE name = 'egfr'") == (
        f'"{", ".join(load_views()["egfr"].grain)}"'
    )


@pytest.mark.parametrize("name", ["egfr", "news2_at", "observations"])
def test_the_shell_tells_what_columns_hold(init: Path, name: str) -> None:
    """DESCRIBE shows no comments: DuckDB has no place for them there."""
    empty = "(NULL)" if name == "news2_at" else ""
    described = shell(init, f"SELECT column_name, column_type FROM (DESCRIBE FROM {name}{empty})")
    told = shell(init, f"SELECT column_name, column_type FROM lakehouse_columns('{name.upper()}')")
    assert told == described
    bare = f"SELECT count(*) FROM lakehouse_columns('{name}') WHERE about IS NULL"
    assert shell(init, bare) == "0"


@pytest.mark.parametrize("query", ["FROM news2_at", "SELECT count(*) FROM news2_at"])
def test_a_macro_without_its_argument_says_how_it_is_called(init: Path, query: str) -> None:
    done = subprocess.run([*shell_command(init), "-c", query], capture_output=True, text=True)
    assert "news2_at takes a time. Write: FROM news2_at('2130-01-31 12:00')." in done.stderr
    assert done.returncode != 0
    assert shell(init, "SELECT count(*) FROM news2_at('2130-01-31 12:00')") == "0"


def test_titles_and_docs_are_comments(init: Path) -> None:
    title = shell(init, "SELECT comment FROM duckdb_views() WHERE view_name = 'qsofa'")
    assert load_views()["qsofa"].title in title
    doc = shell(
        init,
        "SELECT comment FROM duckdb_columns() "
        "WHERE table_name = 'observations' AND column_name = 'value_number'",
    )
    assert doc == '"Numeric value, in `unit`."' or doc == "Numeric value, in `unit`."
    bare = shell(
        init,
        "SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND schema_name = 'main' "
        "AND comment IS NULL",
    )
    total = shell(
        init, "SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND schema_name = 'main'"
    )
    assert int(bare) < int(total) / 4, "most columns say what they hold"


@pytest.mark.parametrize(
    "query",
    [
        "FROM bed_occupancy",
        "SELECT count(*) FROM bed_occupancy",
        "SELECT 'x' FROM bed_occupancy",
        "SELECT unit FROM bed_occupancy WHERE unit = 'x' AND random() < 2",
        "SELECT count(*) FROM bed_occupancy WHERE unit IS NULL",
        "SELECT EXISTS (FROM bed_occupancy)",
        "SELECT count(*) FROM patients WHERE NOT EXISTS (FROM bed_occupancy)",
        "SELECT count(*) FROM patients, bed_occupancy",
        "SELECT count(*) FROM patients RIGHT JOIN bed_occupancy ON sex = unit",
        "SELECT p.patient_id FROM patients p LEFT JOIN bed_occupancy b ON p.patient_id = b.unit",
        "FROM patients WHERE patient_id NOT IN (SELECT unit FROM bed_occupancy)",
    ],
)
def test_a_calendar_view_says_why_and_never_answers(init: Path, query: str) -> None:
    """Also where DuckDB reads none of its columns, and would leave a column's error out."""
    done = subprocess.run([*shell_command(init), "-c", query], capture_output=True, text=True)
    assert "bed_occupancy compares patients in time" in done.stderr
    assert done.returncode != 0
    assert done.stdout == ""


def test_every_calendar_view_keeps_its_columns_and_its_reason(init: Path) -> None:
    barred = {n: v for n, v in load_views().items() if v.requires and not v.parameters}
    assert barred
    with connect() as con:
        fill(con, WarehouseLocation({}, "safe_harbor"))
        for name, view in barred.items():
            types = {c: t for c, t, *_ in con.execute(f"DESCRIBE {name}").fetchall()}
            assert types == view_types(name)
            for query in (f"SELECT count(*) FROM {name}", f"SELECT {view.columns[0]} FROM {name}"):
                with pytest.raises(duckdb.InvalidInputException, match="compares patients in time"):
                    con.execute(query).fetchall()


def test_the_shell_cannot_write(init: Path) -> None:
    for sql in (
        "DROP VIEW patients",
        "DELETE FROM codes.charlson_weights",
        "CREATE TABLE x(a INT)",
    ):
        done = subprocess.run([*shell_command(init), "-c", sql], capture_output=True, text=True)
        assert "read-only" in done.stderr.lower()


def test_a_shell_that_stays_open_sees_the_next_ingest(empty: Path, store: Store) -> None:
    """One process, three questions; another process's ingest lands between them."""
    init = prepare(locate(empty), empty / "shell")
    process = subprocess.Popen(
        [*shell_command(init), "-csv", "-noheader", "-batch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask() -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("SELECT count(*) AS n FROM observations;\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        assert ask() == "0"
        store(empty, {"observations": observations(7)})
        assert ask() == "7"
        store(empty, {"observations": observations(3)})
        assert ask() == "10"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


def test_pinned_shell(empty: Path, store: Store, tmp_path: Path) -> None:
    store(empty, {"observations": observations(7)})
    with lakehouse.open(empty) as lake:
        (snapshot,) = lake.snapshots("observations").column("snapshot_id").to_pylist()
    store(empty, {"observations": observations(3)})
    with lakehouse.open(empty, as_of=snapshot) as lake:
        pinned = prepare(lake.location, empty / "shell" / "as-of")
    assert shell(pinned, "SELECT count(*) FROM observations") == "7"


def test_it_is_built_once_and_replaced_when_the_library_changes(
    filled: Path, init: Path, tmp_path: Path
) -> None:
    (before,) = init.parent.glob("views-*.duckdb")
    built = before.stat().st_mtime_ns
    assert prepare(locate(filled), init.parent) == init
    assert before.stat().st_mtime_ns == built

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine.sql").write_text(
        "-- title: Mine\n-- description: Of this site.\n-- grain: n\nSELECT 42 AS n\n"
    )
    place = locate(filled, folders=(tmp_path / "site",))
    other = prepare(place, tmp_path / "shell")
    assert shell(other, "FROM mine") == "42"


def test_a_folder_that_cannot_be_written_is_replaced_by_the_cache(
    filled: Path, init: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    found = prepare(locate(filled), tmp_path / "file" / "shell")
    assert "clinical-lakehouse" in str(found)
    assert shell(found, "SELECT count(*) FROM observations") == "1000"


def test_what_goes_into_a_pipe_has_no_colours(filled: Path, tmp_path: Path) -> None:
    """Also from a folder of an awkward name."""
    place = tmp_path / 'o\'brien \\ "ward" 7'
    init = prepare(locate(filled), place)
    for query, says in (("SELECT 41 + 1", "42"), ("SELECT nothing", "Binder Error")):
        done = subprocess.run([*shell_command(init), "-c", query], capture_output=True, text=True)
        assert says in done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert "resources" not in done.stderr


def test_paths_with_quotes_survive(tmp_path: Path) -> None:
    text = init_sql(WarehouseLocation({}, "safe_harbor"), tmp_path / "o'brien" / "views.duckdb")
    assert "o''brien" in text


def test_bi_tools_list_and_query_everything_through_sqlalchemy(init: Path) -> None:
    engine = create_engine(database_url(init))
    try:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT count(*) FROM observations")).fetchall()
            assert rows == [(1000,)]
        found = inspect(engine)
        views = load_views()
        barred = {n for n, v in views.items() if v.parameters}
        assert set(found.get_view_names(schema="main")) >= {*views, *load_tables()} - barred
        assert "charlson_weights" not in found.get_table_names(schema="main")
        with engine.connect() as connection:
            weights = connection.execute(text("FROM codes.charlson_weights")).fetchall()
            listed = connection.execute(text("FROM lakehouse_views()")).fetchall()
        assert len(weights) > 10
        assert {row[0] for row in listed} == set(views)
        columns = {c["name"]: c for c in found.get_columns("observations", schema="main")}
        assert columns["value_number"]["comment"] == "Numeric value, in `unit`."
        titles = "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"
        commented = (
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        )
        with engine.connect() as connection:
            told = dict(connection.execute(text(titles)).fetchall())
            docs = {(t, c): d for t, c, d in connection.execute(text(commented)).fetchall()}
        for name in {n for n, v in views.items() if v.is_available("safe_harbor")} - barred:
            assert told[name].startswith(f"{views[name].title}. {views[name].description[:40]}")
            for column in views[name].columns:
                assert docs[name, column], (name, column)
        for name in ("qsofa", "population_health", "cohort_ckd"):
            about = found.get_table_comment(name, schema="main")["text"]
            assert about == told[name]
            for column in found.get_columns(name, schema="main"):
                assert column["comment"] == docs[name, column["name"]]
        qsofa = {c["name"]: c["comment"] for c in found.get_columns("qsofa", schema="main")}
        assert qsofa["score"] == views["qsofa"].docs["score"]
    finally:
        engine.dispose()

"""What a person's SQL may be, and that nothing else gets through, by the guard or by the lock."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lakehouse.errors import QueryError
from lakehouse.query.connection.guard import check_statement
from lakehouse.query.lakehouse import Lakehouse

KNOWN = frozenset({"patients", "observations", "news2_at"})
CODES = frozenset({"units"})

ALLOWED = {
    "SELECT count(*) FROM patients": {"patients"},
    "FROM observations": {"observations"},
    "TABLE patients": {"patients"},
    "VALUES (1)": set(),
    "SELECT 1": set(),
    "DESCRIBE patients": {"patients"},
    "SUMMARIZE patients": {"patients"},
    "WITH x AS (FROM patients) SELECT * FROM x, observations": {"patients", "observations"},
    "WITH patients AS (FROM patients) SELECT * FROM patients": {"patients"},
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r": set(),
    "SELECT * FROM news2_at(now())": {"news2_at"},
    "SELECT * FROM range(3) AS r(n), unnest([1, 2]) AS u(m)": set(),
    "SELECT * FROM PATIENTS AS p JOIN main.observations USING (patient_id)": {
        "patients",
        "observations",
    },
    "SELECT (SELECT max(value_number) FROM observations) AS top FROM patients": {
        "patients",
        "observations",
    },
    "PIVOT patients ON sex IN ('female', 'male') USING count(*)": {"patients"},
    "SELECT 'x; DROP TABLE patients' AS text": set(),
    "SELECT 1 -- ; DELETE FROM patients": set(),
}

WRITES = [
    "DELETE FROM patients",
    "INSERT INTO patients SELECT * FROM patients",
    "UPDATE patients SET sex = 'x'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW patients AS SELECT 1",
    "DROP VIEW patients",
    "ALTER TABLE patients ADD COLUMN x INT",
    "TRUNCATE patients",
    "COPY patients TO 'out.csv'",
    "COPY patients FROM 'in.csv'",
    "EXPORT DATABASE 'out'",
    "ATTACH 'other.duckdb'",
    "DETACH memory",
    "INSTALL spatial",
    "LOAD spatial",
    "SET threads = 1",
    "RESET threads",
    "PRAGMA table_info('patients')",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "PREPARE q AS SELECT 1",
    "EXECUTE q",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM patients",
    "USE memory",
    "CREATE SECRET (TYPE s3)",
    "WITH d AS (DELETE FROM patients RETURNING *) SELECT * FROM d",
    "MERGE INTO patients USING observations ON true WHEN MATCHED THEN DELETE",
    "COMMENT ON VIEW patients IS 'x'",
]

ESCAPES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('x')",
    "SELECT * FROM read_parquet('x')",
    "SELECT * FROM iceberg_scan('x')",
    "SELECT * FROM parquet_metadata('x')",
    "SELECT * FROM glob('*')",
    "SELECT * FROM sniff_csv('x')",
    "SELECT * FROM query('DELETE FROM patients')",
    "SELECT * FROM query_table('patients')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM pragma_table_info('patients')",
    "SELECT * FROM sqlite_scan('x', 'y')",
    "FROM '/etc/passwd'",
    "FROM 'data.parquet'",
    "WITH x AS (FROM '/etc/passwd') FROM x",
    "WITH \"/etc/passwd\" AS (FROM '/etc/passwd') SELECT 1",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM patients WHERE EXISTS (FROM read_text('/etc/passwd'))",
    "SELECT * FROM patients ORDER BY (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM (SELECT 1) UNION ALL SELECT content FROM read_text('/etc/passwd')",
    "SELECT * FROM range((SELECT count(*) FROM read_text('/etc/passwd')))",
    "SELECT getenv('HOME')",
    "SELECT current_setting('threads')",
    "SELECT nextval('s')",
    "FROM sqlite_master",
    "FROM duckdb_tables",
    "FROM information_schema.character_sets",
    "FROM pg_catalog.pg_settings",
    "FROM other.patients",
    "FROM other.main.patients",
    "FROM patients AT (VERSION => 1)",
    "SUMMARIZE SELECT * FROM read_text('/etc/passwd')",
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_select_may_run_and_says_what_it_reads(sql: str) -> None:
    assert check_statement(sql, KNOWN, CODES).names == ALLOWED[sql]


@pytest.mark.parametrize("sql", ["SHOW TABLES", "FROM information_schema.columns"])
def test_listings_read_everything(sql: str) -> None:
    assert check_statement(sql, KNOWN, CODES).everything


@pytest.mark.parametrize(
    "sql",
    [
        "FROM news2_at",
        "FROM main.news2_at",
        "FROM news2_at()",
        "FROM news2_at(now(), 2)",
        "SELECT * FROM patients AS p JOIN news2_at AS n USING (patient_id)",
    ],
)
def test_a_macro_without_its_argument_says_how_it_is_called(sql: str) -> None:
    with pytest.raises(QueryError, match=r"takes a time. Write: FROM news2_at\('2130-01-31"):
        check_statement(sql, KNOWN, CODES, {"news2_at": ["ts"]})
    allowed = check_statement(
        "WITH news2_at AS (SELECT 1) FROM news2_at", KNOWN, CODES, {"news2_at": ["ts"]}
    )
    assert allowed.names == set()


def test_what_asks_of_the_library_is_told_apart() -> None:
    reads = check_statement("FROM lakehouse_views(), lakehouse_columns('Patients')", KNOWN, CODES)
    assert reads.lists_views
    assert reads.columns_of == {"patients"}
    assert not reads.names
    for argument in ("", "name", "lower('x')", "NULL", "'patients', 'x'"):
        with pytest.raises(QueryError, match="in quotes"):
            check_statement(f"FROM lakehouse_columns({argument})", KNOWN, CODES)


def test_code_sets_are_read_by_their_schema() -> None:
    assert check_statement("FROM codes.units", KNOWN, CODES).codes == {"units"}
    with pytest.raises(QueryError, match=r"codes\.unit\. Did you mean codes\.units"):
        check_statement("FROM codes.unit", KNOWN, CODES)


@pytest.mark.parametrize("sql", WRITES + ESCAPES)
def test_nothing_else_may_run(sql: str) -> None:
    with pytest.raises(QueryError):
        check_statement(sql, KNOWN, CODES)


@pytest.mark.parametrize("sql", ["", " -- nothing", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE t"])
def test_exactly_one_statement(sql: str) -> None:
    with pytest.raises(QueryError):
        check_statement(sql, KNOWN, CODES)


def test_a_write_is_named() -> None:
    with pytest.raises(QueryError, match="this is an INSERT"):
        check_statement("INSERT INTO patients VALUES (1)", KNOWN, CODES)


def test_pivot_without_values_says_what_to_write() -> None:
    with pytest.raises(QueryError, match="ON x IN"):
        check_statement("PIVOT patients ON sex USING count(*)", KNOWN, CODES)


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{folder}/other.duckdb'",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "CREATE SECRET (TYPE s3)",
        "EXPORT DATABASE '{folder}'",
        "INSTALL spatial",
        "LOAD spatial",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET threads = 1",
        "SELECT * FROM read_text('{folder}/secret.txt')",
        "SELECT * FROM glob('{folder}/*')",
        "FROM '{folder}/secret.csv'",
        "SELECT * FROM sqlite_scan('{folder}/x', 'y')",
        "SELECT * FROM duckdb_secrets()",
    ],
)
def test_the_lock_holds_without_the_guard(lake: Lakehouse, tmp_path: Path, sql: str) -> None:
    """What reaches for the surroundings fails on the locked connection by itself as well."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.csv").write_text("secret\n1\n")
    with pytest.raises(duckdb.Error):
        lake._session.con.execute(sql.format(folder=tmp_path)).fetchall()


def test_the_lock_lets_no_python_variable_be_a_table(lake: Lakehouse) -> None:
    rows = pa.table({"a": [1]})
    with pytest.raises(duckdb.CatalogException):
        lake._session.con.sql("FROM rows")
    assert rows.num_rows == 1

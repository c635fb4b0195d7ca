"""How DuckDB goes about the views: what a wrong guess of rows would cost is seen at size alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakehouse.query.connection.location import locate
from lakehouse.query.connection.shell_database import prepare
from lakehouse.query.lakehouse import Lakehouse

from .conftest import Store, observations

VIEWS = ("results_current", "vital_signs", "lab_results", "news2", "patient_timeline")
"""Those that read many analytes: where one is asked for, few results are left before the join."""


def plan_nodes(con: duckdb.DuckDBPyConnection, view: str) -> Iterator[dict[str, Any]]:
    sql = f"EXPLAIN (FORMAT json) SELECT count(*), bit_xor(hash(r)) FROM {view} AS r"
    ahead = list(json.loads(con.execute(sql).fetchall()[-1][1]))
    while ahead:
        node = ahead.pop()
        ahead.extend(node["children"])
        yield node


def joins_with_superseded(con: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    """Return the kinds of the joins that leave superseded statements out."""
    return [
        node["extra_info"]["Join Type"]
        for node in plan_nodes(con, view)
        if "ordinal IS NOT DISTINCT FROM ordinal" in str(node["extra_info"].get("Conditions"))
    ]


@pytest.fixture
def corrected(empty: Path, store: Store) -> Path:
    """A warehouse in which one result in ten was corrected."""
    hour = timedelta(hours=1)
    first = [
        {**row, "order_id": row["record_id"], "stated_at": row["observed_at"] + hour}
        for row in observations(5_000)
    ]
    again = [
        {
            **row,
            "record_id": f"{row['record_id']}c",
            "status": "corrected",
            "stated_at": row["stated_at"] + hour,
        }
        for row in first[::10]
    ]
    store(empty, {"observations": first})
    store(empty, {"observations": again})
    return empty


@pytest.mark.parametrize("view", VIEWS)
def test_the_hash_table_is_made_of_what_is_superseded_in_a_session(
    corrected: Path, view: str
) -> None:
    with Lakehouse(corrected) as lake:
        lake.sql(f"SELECT count(*) FROM {view}").fetchall()
        kinds = joins_with_superseded(lake._session.con, view)
        (rows,) = lake.sql("SELECT count(*) FROM superseded_results").fetchall()
    assert rows == (500,)
    assert set(kinds) == {"LEFT"}, "a RIGHT join would have all results in memory"


@pytest.mark.parametrize("view", VIEWS)
def test_the_hash_table_is_made_of_what_is_superseded_in_the_shell(
    corrected: Path, view: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    init = prepare(locate(corrected), tmp_path / "shell")
    config = dict.fromkeys(("autoinstall_known_extensions", "autoload_known_extensions"), False)
    with duckdb.connect(config={**config}) as con:
        con.execute(init.read_text(encoding="utf-8"))
        kinds = joins_with_superseded(con, view)
    assert kinds and set(kinds) == {"LEFT"}

"""Small cells: what is blanked, and that no total gives it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lakehouse
from lakehouse.errors import QueryError
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.query.smallcells import complements
from lakehouse.storage.warehouse import Warehouse

from .conftest import settings, store_rows

PEOPLE = {
    ("IL", "female"): 30,
    ("IL", "male"): 25,
    ("WI", "female"): 20,
    ("WI", "male"): 4,
    ("IA", "female"): 15,
    ("IA", "male"): 40,
    ("MN", "female"): 12,
    ("MN", "male"): 13,
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Patients by state and sex as in PEOPLE, each stated twice."""
    path: Path = tmp_path_factory.mktemp("cells") / "warehouse"
    Warehouse.create(path, settings()).close()
    rows = [
        {"record_id": f"{s}{x}{i}{twice}", "ordinal": 0, "patient_id": f"{s}{x}{i}",
         "state": s, "sex": x, "age_years": 50}
        for (s, x), n in PEOPLE.items() for i in range(n) for twice in (0, 1)
    ]  # fmt: skip
    store_rows(path, {"patients": rows})
    with lakehouse.open(path) as opened:
        yield opened


def shown(lake: Lakehouse, sql: str, min_cell: int = 11) -> dict[Any, tuple[Any, ...]]:
    rows = lake.sql(sql, min_cell=min_cell).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_patients_are_counted_not_rows(lake: Lakehouse) -> None:
    """Eight rows of four patients: the rows alone would hide nothing below 8."""
    found = lake.sql(
        "SELECT state, sex, count(*) AS n FROM patients GROUP BY state, sex", min_cell=5
    ).arrow()
    hidden = {(r["state"], r["sex"]) for r in found.to_pylist() if r["suppressed"] == "small"}
    assert hidden == {("WI", "male")}


def test_enough_patients_in_every_group_change_nothing(lake: Lakehouse) -> None:
    query = "SELECT state, count(*) AS n FROM patients GROUP BY state ORDER BY state"
    rows = lake.sql(query, min_cell=11).fetchall()
    assert rows == [(*row, None) for row in lake.sql(query).fetchall()]


def test_one_blank_takes_its_next_smallest_with_it(lake: Lakehouse) -> None:
    found = shown(lake, "SELECT state, count(*) AS n FROM patients WHERE sex = 'male' GROUP BY 1")
    assert found == {
        "IL": (50, None),
        "IA": (80, None),
        "WI": (None, "small"),
        "MN": (None, "complementary"),
    }


def test_both_lines_of_a_table_are_protected(lake: Lakehouse) -> None:
    found = lake.sql("SELECT state, sex, count(*) AS n FROM patients GROUP BY ALL", min_cell=11)
    blank = {(s, x): why for s, x, n, why in found.fetchall() if n is None}
    assert blank[("WI", "male")] == "small"
    for position in (0, 1):
        for value in {k[position] for k in blank}:
            assert sum(k[position] == value for k in blank) != 1


def test_totals_of_the_query_itself(lake: Lakehouse) -> None:
    found = lake.sql(
        "SELECT state, sex, count(*) AS n FROM patients GROUP BY ROLLUP (state, sex)", min_cell=11
    ).fetchall()
    by_key = {(s, x): (n, why) for s, x, n, why in found}
    assert by_key[("WI", "male")] == (None, "small")
    assert by_key[("WI", "female")] == (None, "complementary")
    assert by_key[("WI", None)] == (48, None)
    assert by_key[(None, None)] == (318, None)


def test_limit_and_having_hide_nothing_that_could_be_subtracted(lake: Lakehouse) -> None:
    base = "SELECT state, count(*) AS n FROM patients WHERE sex = 'male' GROUP BY state "
    limited = lake.sql(base + "ORDER BY n DESC LIMIT 3", min_cell=11).fetchall()
    assert limited == [("IA", 80, None), ("IL", 50, None), ("MN", None, "complementary")]
    had = lake.sql(base + "HAVING count(*) > 10 ORDER BY n", min_cell=11).fetchall()
    assert had == [("IL", 50, None), ("IA", 80, None)]


def test_a_single_figure(lake: Lakehouse) -> None:
    query = "SELECT avg(age_years) AS age FROM patients WHERE state = 'WI' AND sex = $sex"
    assert lake.sql(query, {"sex": "male"}, min_cell=11).fetchall() == [(None, "small")]
    assert lake.sql(query, {"sex": "female"}, min_cell=11).fetchall() == [(50.0, None)]
    nobody = "SELECT count(*) AS n FROM patients WHERE state = 'XX'"
    assert lake.sql(nobody, min_cell=11).fetchall() == [(0, None)]


def test_joins_subqueries_and_ctes_find_the_patient(lake: Lakehouse) -> None:
    for sql in (
        "SELECT p.state, count(*) AS n FROM patients AS p JOIN patients AS q USING (patient_id) "
        "GROUP BY p.state",
        "SELECT state, count(*) AS n FROM (SELECT state, patient_id FROM patients) GROUP BY state",
        "WITH p AS (SELECT state, patient_id FROM patients) SELECT state, count(*) AS n FROM p "
        "GROUP BY state",
    ):
        assert {why for *_, why in lake.sql(sql, min_cell=25).fetchall()} == {
            None, "small", "complementary"
        }  # fmt: skip


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT patient_id, state FROM patients",
        "SELECT * FROM patients",
        "SELECT 100 AS n_patients, state FROM patients",
        "SELECT state, 100 AS n_patients FROM patients_current",
        "SELECT DISTINCT state FROM patients",
        "SELECT state, count(*) AS n FROM (SELECT state FROM patients) GROUP BY state",
        "SELECT state, count(*) AS n FROM patients GROUP BY 1 UNION ALL SELECT 'x', 1",
        "SELECT state, count(*) AS n FROM patients GROUP BY 1 QUALIFY row_number() OVER () = 1",
        "SELECT state, count(*) AS n FROM patients GROUP BY 1 LIMIT 10 PERCENT",
        "SELECT count(*) AS n FROM range(3)",
    ],
)
def test_what_cannot_be_judged_is_refused(lake: Lakehouse, sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        lake.sql(sql, min_cell=11).fetchall()
    assert "\n" not in str(caught.value)


def test_a_count_the_query_claims_is_not_believed(lake: Lakehouse) -> None:
    found = shown(
        lake,
        "SELECT state, 1000 AS n_patients, count(*) AS n FROM patients "
        "WHERE sex = 'male' GROUP BY state",
    )
    assert found["WI"] == (1000, None, "small")


@given(
    st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=2, max_size=5),
    st.integers(2, 15),
)
def test_no_line_total_gives_a_small_cell_back(table: Sequence[Sequence[int]], limit: int) -> None:
    keys = [(r, c) for r in range(len(table)) for c in range(3)]
    counts = [table[r][c] for r, c in keys]
    small = {i for i, n in enumerate(counts) if 0 < n < limit}
    blank = small | complements(keys, [0] * len(keys), counts, small, limit)
    for position in (0, 1):
        for value in {k[position] for k in keys}:
            line = [i for i, k in enumerate(keys) if k[position] == value]
            hidden = [i for i in line if i in blank]
            others = [i for i in line if i not in blank and counts[i]]
            if hidden and others:  # else the total is all there is, and it is a cell itself
                assert len(hidden) > 1
                assert sum(counts[i] for i in hidden) >= limit

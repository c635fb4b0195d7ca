"""Small cells: what is blanked, what is refused, and that no total gives a count back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

import lakehouse
from lakehouse.errors import QueryError
from lakehouse.query.disclosure.layout import Layout
from lakehouse.query.disclosure.suppress import cells_to_hide
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.query.views.library import load_views
from tests.helpers.warehouses import create_warehouse

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
    ("OH", "female"): 11,
    ("OH", "male"): 1,
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Patients by state and sex as in PEOPLE, each stated twice."""
    path: Path = tmp_path_factory.mktemp("cells") / "warehouse"
    create_warehouse(path, settings()).close()
    rows = [
        {"record_id": f"{s}{x}{i}{twice}", "ordinal": 0, "patient_id": f"{s}{x}{i}",
         "state": s, "sex": x, "age_years": 50 + i % 30 * (1 + (s == "IA"))}
        for (s, x), n in PEOPLE.items() for i in range(n) for twice in (0, 1)
    ]  # fmt: skip
    visits = [
        {"record_id": f"v{r['record_id']}", "ordinal": 0, "patient_id": r["patient_id"],
         "encounter_id": f"v{r['patient_id']}", "class": "E", "admitted_at": at, "event": "A03",
         "discharged_at": at + timedelta(hours=3), "age_years": 50}
        for r, at in zip(rows, itertools.repeat(datetime(2130, 1, 1, tzinfo=UTC)))
    ]  # fmt: skip
    store_rows(path, {"patients": rows, "encounters": visits})
    with lakehouse.open(path) as opened:
        yield opened


def shown(lake: Lakehouse, sql: str, min_cell: int = 11) -> dict[Any, tuple[Any, ...]]:
    rows = lake.sql(sql, min_cell=min_cell).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_patients_are_counted_not_rows(lake: Lakehouse) -> None:
    """Eight rows of four patients: the rows alone would hide nothing below 8."""
    found = lake.sql(
        "SELECT state, count(*) AS n FROM patients WHERE sex = 'male' GROUP BY state", min_cell=5
    ).fetchall()
    assert {state for state, n, _ in found if n is None} == {"OH", "WI", "MN"}


def test_enough_patients_in_every_group_change_nothing(lake: Lakehouse) -> None:
    query = "SELECT state, count(*) AS n, round(avg(age_years), 1) AS age FROM patients GROUP BY 1"
    rows = lake.sql(query + " ORDER BY state DESC", min_cell=11).fetchall()
    assert rows == [(*row, None) for row in lake.sql(query + " ORDER BY state DESC").fetchall()]


def test_small_and_further_cells_bear_one_label(lake: Lakehouse) -> None:
    found = shown(lake, "SELECT state, count(*) AS n FROM patients WHERE sex = 'male' GROUP BY 1")
    assert found == {
        "IL": (50, None),
        "IA": (80, None),
        "WI": (None, "small"),
        "OH": (None, "small"),
        "MN": (None, "small"),
    }


def test_totals_of_the_query_itself(lake: Lakehouse) -> None:
    found = lake.sql(
        "SELECT state, sex, count(*) AS n FROM patients GROUP BY ROLLUP (state, sex)", min_cell=11
    ).fetchall()
    by_key = {(s, x): (n, why) for s, x, n, why in found}
    assert by_key[("IL", "male")] == (50, None)
    assert by_key[("WI", None)] == (48, None)
    assert by_key[(None, None)] == (342, None)
    blank = {key for key, (n, _) in by_key.items() if n is None}
    # The further cell of the men, Minnesota's, takes the women there with it: 25 - 12 tells.
    assert blank == {(s, x) for s in ("WI", "OH", "MN") for x in ("male", "female")}
    assert {why for n, why in by_key.values() if n is None} == {"small"}


def test_order_and_limit_know_the_blanked_rows_only(lake: Lakehouse) -> None:
    base = "SELECT state, count(*) AS n FROM patients WHERE sex = 'male' GROUP BY state "
    limited = lake.sql(base + "ORDER BY count(*) DESC LIMIT 3", min_cell=11).fetchall()
    assert limited[:2] == [("IA", 80, None), ("IL", 50, None)]
    assert limited[2][1:] == (None, "small")
    after = lake.sql(base + "ORDER BY ALL LIMIT 1 OFFSET 1", min_cell=11).fetchall()
    assert after == [("IL", 50, None)]


def test_a_single_figure(lake: Lakehouse) -> None:
    query = "SELECT avg(age_years) AS age FROM patients WHERE state = 'WI' AND sex = $sex"
    assert lake.sql(query, {"sex": "male"}, min_cell=11).fetchall() == [(None, "small")]
    assert lake.sql(query, {"sex": "female"}, min_cell=11).fetchall() == [(59.5, None)]
    nobody = "SELECT count(*) AS n FROM patients WHERE state = 'XX'"
    assert lake.sql(nobody, min_cell=11).fetchall() == [(0, None)]


def test_joins_by_the_patient(lake: Lakehouse) -> None:
    for join in ("JOIN qsofa USING (patient_id)", "JOIN patients AS q USING (patient_id)",
                 "LEFT JOIN patients_current AS q ON p.patient_id = q.patient_id"):  # fmt: skip
        sql = f"SELECT p.state, count(*) AS n FROM patients AS p {join} GROUP BY p.state"
        assert {why for *_, why in lake.sql(sql, min_cell=25).fetchall()} <= {None, "small"}


def test_macros_and_views_of_single_visits_are_grouped(lake: Lakehouse) -> None:
    """A view with a row a patient or visit is a source like a table."""
    for sql in (
        "SELECT n_missing, count(*) AS n FROM charlson_at(TIMESTAMPTZ '2130-06-01') GROUP BY 1",
        "SELECT outcome, count(*) AS n, median(hours) AS h FROM emergency_department GROUP BY 1",
        "SELECT priority, count(*) AS n FROM critical_alerts GROUP BY priority",
        "SELECT age_group, sex, count(*) AS n FROM research_dataset GROUP BY ALL",
        "SELECT date_trunc('month', admitted_at) AS m, count(DISTINCT encounter_id) AS n, "
        "count(DISTINCT patient_id) AS p FROM encounters_current GROUP BY m",
    ):
        lake.sql(sql, min_cell=11).fetchall()
    with pytest.raises(QueryError, match="FROM emergency_department GROUP BY"):
        lake.sql("SELECT * FROM emergency_department", min_cell=11)


ATTACKS = {
    "filter": "SELECT state, count(*) FILTER (WHERE sex = 'male') AS n FROM patients GROUP BY 1",
    "case": "SELECT state, sum(CASE WHEN sex = 'male' THEN 1 ELSE 0 END) FROM patients GROUP BY 1",
    "boolean": "SELECT state, sum((sex = 'male')::INT) AS n FROM patients GROUP BY 1",
    "count if": "SELECT state, count_if(sex = 'male') AS n FROM patients GROUP BY 1",
    "count of a column": "SELECT state, count(nullif(sex, 'female')) FROM patients GROUP BY 1",
    "window": "SELECT state, lag(count(*)) OVER (ORDER BY state) AS p FROM patients GROUP BY 1",
    "window of lists": "SELECT state, list(count(*)) OVER () AS l FROM patients GROUP BY state",
    "scalar subquery": "SELECT state, count(*), (SELECT count(*) FROM patients WHERE sex = 'male' "
    "AND state = 'WI') AS k FROM patients GROUP BY state",
    "joined counts": "SELECT p.state, max(s.n) FROM patients AS p, (SELECT count(*) AS n FROM "
    "patients WHERE state = 'WI' AND sex = 'male') AS s GROUP BY p.state",
    "joined view of counts": "SELECT p.state, avg(h.n_over_65) FROM patients AS p "
    "JOIN population_health AS h USING (state) GROUP BY 1",
    "kahan_sum": "SELECT state, kahan_sum(1) AS n FROM patients GROUP BY state",
    "fsum": "SELECT state, fsum(1) AS n FROM patients GROUP BY state",
    "product": "SELECT state, log2(product(2)) AS n FROM patients GROUP BY state",
    "regr_count": "SELECT state, regr_count(1, 1) AS n FROM patients GROUP BY state",
    "histogram": "SELECT state, histogram(sex) AS n FROM patients GROUP BY state",
    "list": "SELECT state, list(age_years) AS l FROM patients GROUP BY state",
    "maximum": "SELECT state, max(age_years) AS oldest FROM patients GROUP BY state",
    "claimed sum": "SELECT state, sum(n_patients) AS n_patients, count(*) FROM (SELECT state, "
    "1000 AS n_patients, patient_id FROM patients WHERE sex = 'male') GROUP BY state",
    "claimed constant": "SELECT state, 1000 AS n_patients, count(*) AS n FROM patients GROUP BY 1",
    "another's patients": "SELECT p.state, count(*) AS n FROM patients AS q CROSS JOIN patients "
    "AS p WHERE p.sex = 'male' GROUP BY p.state",
    "joined by the state": "SELECT p.state, count(DISTINCT q.patient_id) AS n_patients FROM "
    "patients AS p JOIN patients AS q ON p.state = q.state GROUP BY 1",
    "made patients": "SELECT state, count(*) AS n FROM (SELECT state, uuid() AS patient_id FROM "
    "patients, range(3)) GROUP BY state",
    "renamed columns": "SELECT a, count(*) FROM patients AS p(patient_id, a) GROUP BY a",
    "with": "WITH p AS (SELECT state, patient_id FROM patients) SELECT state, count(*) FROM p "
    "GROUP BY state",
    "patients as keys": "SELECT patient_id, state FROM patients GROUP BY ALL LIMIT 3",
    "whole rows as keys": "SELECT p, count(*) AS n FROM patients AS p GROUP BY p",
    "hashed patients": "SELECT md5(patient_id) AS k, count(*) AS n FROM patients GROUP BY 1",
    "visits as keys": "SELECT encounter_id, count(*) AS n FROM encounters GROUP BY 1",
    "numbers of rare rows": "SELECT n_patients, count(*) AS n FROM research_dataset GROUP BY 1",
    "one patient left out": "SELECT count(*) AS n FROM patients WHERE patient_id <> 'WImale1'",
    "having": "SELECT state FROM patients WHERE sex = 'male' GROUP BY 1 HAVING count(*) = 4",
    "having a subquery": "SELECT state, count(*) FROM patients GROUP BY 1 HAVING (SELECT count(*) "
    "FROM patients WHERE state = 'WI' AND sex = 'male') = 4",
    "an error that tells": "SELECT state, CASE WHEN count(*) = 4 THEN error('x') END FROM patients "
    "GROUP BY state",
    "order that tells": "SELECT state, count(*) AS n FROM patients GROUP BY 1 "
    "ORDER BY count(*) FILTER (WHERE sex = 'male')",
    "hidden keys": "SELECT count(*) AS n FROM patients GROUP BY state, sex",
    "several sums": "SELECT state, sum(age_years), sum(ordinal) FROM patients GROUP BY state",
    "rows": "SELECT patient_id, state FROM patients",
    "all rows": "SELECT * FROM patients",
    "rows of a study": "SELECT * FROM research_dataset",
    "claimed rows": "SELECT 100 AS n_patients, state FROM patients",
    "distinct": "SELECT DISTINCT state FROM patients",
    "union": "SELECT state, count(*) AS n FROM patients GROUP BY 1 UNION ALL SELECT 'x', 1",
    "qualify": "SELECT state, count(*) FROM patients GROUP BY 1 QUALIFY row_number() OVER () = 1",
    "sample": "SELECT state, count(*) AS n FROM patients USING SAMPLE 50% GROUP BY state",
    "percent": "SELECT state, count(*) AS n FROM patients GROUP BY 1 LIMIT 10 PERCENT",
    "no patients": "SELECT count(*) AS n FROM range(3)",
    "highest score": "SELECT state, highest_score FROM population_health",
    "condition on a figure": "SELECT state, n_patients FROM population_health WHERE n_over_65 = 4",
    "sum of counts": "SELECT sum(n_patients) AS n FROM population_health",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_cannot_be_judged_is_refused(lake: Lakehouse, attack: str) -> None:
    with pytest.raises(QueryError) as caught:
        lake.sql(ATTACKS[attack], min_cell=11).fetchall()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_counts_of_a_part_are_judged_with_their_rest(lake: Lakehouse) -> None:
    """4 of Wisconsin's 24 and 14 of Illinois's 55 are over 65; neither 4 nor 24 - 4 may show."""
    parts = lake.sql("SELECT state, n_patients, n_over_65 FROM population_health").fetchall()
    found = lake.sql("SELECT * FROM population_health", min_cell=11).arrow().to_pylist()
    then = {row["state"]: row for row in found}
    assert not {"highest_score", "mean_medications"} & then["IL"].keys()
    for state, total, over in parts:
        if 0 < over < 11 or 0 < total - over < 11:
            assert then[state]["n_patients"] == total
            assert then[state]["n_over_65"] is None
            assert then[state]["mean_score"] is None  # the mean would tell it
            assert "n_over_65" in then[state]["suppressed"]
    open_, hidden_ = (
        [o for s, _, o in parts if (then[s]["n_over_65"] is None) is blank]
        for blank in (False, True)
    )
    assert open_
    assert sum(hidden_) >= 11


def test_asking_for_one_row_of_a_view_shows_no_more(lake: Lakehouse) -> None:
    whole = shown(lake, "SELECT state, n_over_65 FROM population_health")
    for state in whole:
        one = lake.sql(
            "SELECT h.state, n_over_65 FROM population_health AS h WHERE h.state = $s",
            {"s": state},
            min_cell=11,
        )
        assert one.fetchall() == [(state, *whole[state])]


def test_every_view_of_counts_says_what_its_cells_are() -> None:
    for view in load_views().values():
        if "n_patients" in view.columns and "patient_id" not in view.columns:
            assert view.cells or "study_id" in view.columns, view.name
    for name in ("highest_score", "longest_days", "peak", "baseline_mean", "within_one_hour"):
        for view in load_views().values():
            assert not any(name in figures for figures in view.cells.values())


def test_a_mean_of_two_or_three_values_is_a_count(lake: Lakehouse) -> None:
    found = shown(lake, "SELECT state, avg(age_point) AS a, count(*) AS n FROM risk_score "
                  "JOIN patients_current USING (patient_id) GROUP BY state")  # fmt: skip
    assert found["IL"] == (None, 55, "a")


def test_blank_rows_show_no_exact_values(lake: Lakehouse) -> None:
    """A row of one patient would be that patient's record, with or without a count."""
    found = lake.sql(
        "SELECT age_years, state, count(*) AS n FROM patients GROUP BY ALL", min_cell=11
    ).fetchall()
    assert all(n is not None for *_, n, _ in found)


def attacked(layout: Layout, counts: Sequence[int], blank: set[int], limit: int) -> dict[int, Any]:
    """Return least and most of each hidden cell, as one with all totals can work it out."""
    rows = []
    for line in layout.lines:
        total = sum(counts[i] for i in line.cells)
        if line.total is None and total < limit:
            continue  # asked for by itself, it would be hidden
        row = {i: Fraction(1) for i in line.cells if i in blank}
        known = total - sum(counts[i] for i in line.cells if i not in blank)
        if line.total in blank:
            row[line.total], known = Fraction(-1), known - total
        if row:
            rows.append((row, Fraction(known)))
    solved: list[tuple[dict[int, Fraction], Fraction]] = []
    for row, known in rows:  # Gauss and Jordan, with fractions
        for other, value in solved:
            pivot = next(iter(other))
            if times := row.get(pivot, 0):
                row = {c: v for c in row.keys() | other.keys()
                       if (v := row.get(c, 0) - times * other.get(c, 0))}  # fmt: skip
                known -= times * value
        if not row:
            continue
        pivot = next(iter(row))
        row, known = {c: v / row[pivot] for c, v in row.items()}, known / row[pivot]
        solved.append((row, known))
    spans = {i: [Fraction(1), Fraction(10**6)] for i in blank}
    before: Any = None
    while before != spans:
        before = {i: list(span) for i, span in spans.items()}
        for row, known in [*rows, *(s for s in solved if len(s[0]) == 1)]:
            for i, factor in row.items():
                rest = [
                    sum(v * spans[c][(v > 0) is not low] for c, v in row.items() if c != i)
                    for low in (True, False)
                ]
                ends = sorted((known - r) / factor for r in rest)
                spans[i] = [max(spans[i][0], ends[0]), min(spans[i][1], ends[1])]
    return spans


@hypothesis.settings(max_examples=60, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.sampled_from([(4, 3), (3, 2, 2), (6,), (7,)]).flatmap(
        lambda shape: st.tuples(
            st.just(shape),
            st.lists(
                st.one_of(st.integers(0, 14), st.integers(0, 60)),
                min_size=_size(shape),
                max_size=_size(shape),
            ),
        )
    ),
)
def test_no_subtraction_gives_a_small_count(given: Any) -> None:
    """GROUP BY CUBE: no hidden small count, and no sum of hidden ones in a line, follows.

    With one key also without its total, which is then known from a query of its own.
    """
    shape, drawn = given
    keys = list(itertools.product(*(range(n) for n in shape)))
    cells = {(k, 0): n for k, n in zip(keys, drawn, strict=True) if n}
    if shape != (7,):
        for mask in range(1, 2 ** len(shape)):
            for key, n in list(cells.items()):
                if not key[1]:
                    up = tuple(
                        None if mask & 1 << (len(shape) - 1 - p) else k
                        for p, k in enumerate(key[0])
                    )
                    cells[up, mask] = cells.get((up, mask), 0) + n
    counts = list(cells.values())
    layout = Layout.of([k for k, _ in cells], [m for _, m in cells])
    blank = cells_to_hide(layout, counts, 11)
    spans = attacked(layout, counts, blank, 11)
    for i in blank:
        low, high = spans[i]
        assert low <= counts[i] <= high
        if counts[i] < 11:
            assert low < high, "a small count follows exactly"
    for line in layout.lines:
        total = sum(counts[i] for i in line.cells)
        known = line.total not in blank if line.total is not None else total >= 11
        if known:
            rest = [i for i in line.cells if i in blank and spans[i][0] < spans[i][1]]
            assert not rest or sum(counts[i] for i in rest) >= 11


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size

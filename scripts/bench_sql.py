"""The views on 20 million observations: through Iceberg, over plain Parquet, and beside polars.

Every view runs twice in a process of its own, on two threads and within 8 GiB, and must give up
every column of every row: the rows are hashed, so that nothing is pruned away. The first run opens
the session and finds what a session keeps, the second has it. The ratio to Parquet, the same SQL
over the same data files by ``read_parquet``, is that of processor seconds: on a busy machine only
they can be compared. The peers are what one would write in polars for one data set: they know
neither corrections, nor units, nor merged patients, and have to come to the same sums. Of the
slowest five views the operators that dominate are told. The exit code is 1 when a view breaks a
limit: 10 s for the first run, 8 GiB, 1.3 times Parquet. On a shared machine a view takes up to two
fifths longer by turns, so one that breaks a limit is measured once more, and has to break it again.

    scripts/bench sql                                # makes a warehouse in a temporary folder
    scripts/bench sql --warehouse FOLDER             # made there if it does not exist, and kept
    scripts/bench sql --observations 1000000 news2   # a quicker look, at some views
    scripts/bench sql --json FILE
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
THREADS, MEMORY = 2, "8GiB"
LIMIT_SECONDS, LIMIT_RATIO, LIMIT_GIB = 10.0, 1.3, 8
LEAST_SECONDS = 0.25
"""A ratio counts from this difference on: opening the tables costs as much for any size."""

DOMINANT = 4
"""Operators told of each of the slowest views."""
PATIENCE = 600
"""Seconds after which a view is given up."""

AT = "2023-01-01 00:00:00+00"
"""For views with a time as their parameter."""


def through_iceberg(warehouse: Path, view: str) -> Any:
    """Return a connection as a query of a user gets it, with what a session keeps."""
    from lakehouse.query.connection.location import locate
    from lakehouse.query.connection.session import Session

    session = Session(locate(warehouse))
    session.check(every_value(view))
    return session.con


def over_parquet(warehouse: Path, view: str) -> Any:
    """Return a connection on which each table is ``read_parquet`` of its data files.

    It keeps the rows that a session keeps, too: the ratio is that of the formats.
    """
    from lakehouse.definitions.tables import load_tables
    from lakehouse.query.connection.location import locate
    from lakehouse.query.connection.materialized import ALWAYS, WHEN_REPEATED, count_paths
    from lakehouse.query.connection.table_views import select_list
    from lakehouse.query.views.code_sets import create_codes
    from lakehouse.query.views.evaluate import connect
    from lakehouse.query.views.library import dependency_order
    from lakehouse.query.views.view import ddl

    place = locate(warehouse)
    con = connect()
    order = dependency_order([view], place.views)
    needed = {d for n in order for d in place.views[n].depends_on} - set(place.views)
    create_codes(con, sorted(n.partition(".")[2] for n in needed if n.startswith("codes.")))
    for name in sorted(needed & set(load_tables())):
        table = load_tables()[name]
        files = [str(p) for p in Path(place.locations[name]).glob("data/**/*.parquet")]
        scan = f"read_parquet({files})" if files else ""
        stored = {r[0] for r in con.execute(f"DESCRIBE FROM {scan}").fetchall()} if files else set()
        source = f"FROM {scan}" if files else "WHERE false"
        con.execute(f'CREATE VIEW "{name}" AS SELECT {select_list(table, stored)} {source}')
    con.execute(f"SET threads = {THREADS}")
    con.execute(f"SET memory_limit = '{MEMORY}'")
    kept = {*ALWAYS} | {name for name in WHEN_REPEATED if count_paths(view, name, place.views) > 1}
    for name in order:
        found = place.views[name]
        con.execute(f"CREATE TABLE {name} AS {found.sql}" if name in kept else ddl(found))
    return con


def measure_view(warehouse: Path, view: str, how: str) -> dict[str, Any]:
    """Run one view twice and return what it took."""
    found: dict[str, Any] = {}
    con = None
    for run in ("cold", "warm"):
        began, worked = time.perf_counter(), time.process_time()
        # the first query of a session looks for what the session keeps
        con = con or (through_iceberg if how == "iceberg" else over_parquet)(warehouse, view)
        rows, digest = con.execute(every_value(view)).fetchone()
        found |= {"rows": rows, "digest": digest, run: time.perf_counter() - began}
        found[f"{run}_processor"] = time.process_time() - worked
    return found


def measure_operators(warehouse: Path, view: str) -> dict[str, Any]:
    """Return what one view spends its time on: seconds and rows by operator, from its profile."""
    con = through_iceberg(warehouse, view)
    explained = con.execute(f"EXPLAIN (ANALYZE, FORMAT json) {every_value(view)}").fetchall()
    profile = json.loads(explained[-1][1])
    spent: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    ahead = [profile]
    while ahead:
        node = ahead.pop()
        ahead.extend(node.get("children", []))
        if name := node.get("operator_type") or node.get("operator_name"):
            on = (node.get("extra_info") or {}).get("Function", "")
            entry = spent[f"{name} {on}".strip()]
            entry[0] += node.get("operator_timing", 0.0)
            entry[1] += node.get("operator_cardinality", 0)
    ordered = sorted(spent.items(), key=lambda item: -item[1][0])
    return {"operators": [[name, *entry] for name, entry in ordered]}


def every_value(view: str) -> str:
    """Return the query that needs every column of every row of a view."""
    from lakehouse.query.views.library import load_views

    call = f"{view}(TIMESTAMPTZ '{AT}')" if load_views()[view].parameters else view
    return f"SELECT count(*), bit_xor(hash(r)) FROM {call} AS r"


def table_scan(warehouse: Path, table: str) -> Any:
    """Return a polars scan of a table's data files."""
    import polars as pl

    from lakehouse.query.connection.location import locate

    return pl.scan_parquet(str(Path(locate(warehouse).locations[table]) / "data/**/*.parquet"))


def polars_news2(warehouse: Path) -> int:
    """Return the sum of all NEWS2 scores on scale 1, of values not older than 12 hours."""
    import polars as pl

    codes = {
        "9279-1": "respiratory_rate",
        "59408-5": "spo2",
        "8480-6": "systolic_bp",
        "8867-4": "heart_rate",
        "8310-5": "temperature",
        "9269-2": "gcs",
    }
    flow, inspired, answered = "3151-8", "3150-6", "67775-7"
    names = [*codes.values(), "alert", "oxygen"]
    visit = ["patient_id", "encounter_id"]
    c = pl.col
    wide = (
        table_scan(warehouse, "observations")
        .filter(c("code").is_in([*codes, flow, inspired, answered]))
        .group_by(*visit, "observed_at")
        .agg(
            *(
                c("value_number").filter(c("code") == code).max().alias(n)
                for code, n in codes.items()
            ),
            (c("value_code") == "A").filter(c("code") == answered).min().cast(int).alias("alert"),
            (c("value_number") > pl.when(c("code") == inspired).then(21.5).otherwise(0))
            .filter(c("code").is_in([flow, inspired]))
            .max()
            .cast(int)
            .alias("oxygen"),
        )
        .sort(*visit, "observed_at")
        .with_columns(
            pl.when(c(n).is_not_null()).then(c("observed_at")).alias(f"{n}_at") for n in names
        )
        .with_columns(c(n, f"{n}_at").forward_fill().over(visit) for n in names)
        .with_columns(
            pl.when(c(f"{n}_at") >= c("observed_at") - pl.duration(hours=12)).then(c(n)).alias(n)
            for n in names
        )
    )

    def banded(name: str, limits: list[float], points: list[int]) -> pl.Expr:
        found = pl.when(c(name) < limits[0]).then(points[0])
        for limit, point in zip(limits[1:], points[1:], strict=False):
            found = found.when(c(name) < limit).then(point)
        return found.when(c(name).is_not_null()).then(points[-1]).otherwise(0)

    score = (
        banded("respiratory_rate", [8.000001, 12, 21, 25], [3, 1, 0, 2, 3])
        + banded("spo2", [92, 94, 96], [3, 2, 1, 0])
        + banded("systolic_bp", [91, 101, 111, 220], [3, 2, 1, 0, 3])
        + banded("heart_rate", [41, 51, 91, 111, 131], [3, 1, 0, 1, 2, 3])
        + banded("temperature", [35.05, 36.05, 38.05, 39.05], [3, 1, 0, 1, 2])
        + banded("alert", [1], [3, 0])
        + banded("oxygen", [1], [0, 2])
    )
    return int(wide.select(score.sum()).collect().item())


def polars_charlson(warehouse: Path) -> int:
    """Return the sum of all patients' Charlson indices, 1987 weights."""
    import polars as pl

    from lakehouse.query.views.code_sets import load_codes

    c = pl.col
    prefixes = pl.from_arrow(load_codes("charlson_quan_codes").rows).filter(c("system") == "icd10")
    weights = pl.from_arrow(load_codes("charlson_weights").rows)
    said = table_scan(warehouse, "conditions").select("patient_id", "code").unique().collect()
    codes = said.select("code").unique()
    groups = pl.concat(
        codes.with_columns(c("code").str.slice(0, length).alias("prefix")).join(prefixes, "prefix")
        for length in (2, 3, 4)
    ).select("code", "condition")
    found = said.join(groups, "code").select("patient_id", "condition").unique()
    severe = found.rename({"condition": "superseded_by"}).with_columns(pl.lit(1).alias("severe"))
    kept = found.join(weights, "condition").join(
        severe, ["patient_id", "superseded_by"], how="left"
    )
    return int(kept.filter(c("severe").is_null())["original_1987"].sum())


PEERS = {
    "news2": (polars_news2, "SELECT sum(score) FROM news2"),
    "charlson": (polars_charlson, "SELECT sum(score_original) FROM charlson"),
}


def measure_peer(warehouse: Path, view: str, how: str) -> dict[str, Any]:
    """Run the polars peer or the same sum in SQL and return what it took."""
    peer, sql = PEERS[view]
    found: dict[str, Any] = {}
    con = None
    for run in ("cold", "warm"):
        began, worked = time.perf_counter(), time.process_time()
        if how != "polars":
            con = con or through_iceberg(warehouse, view)
        total = peer(warehouse) if con is None else con.execute(sql).fetchone()[0]
        found |= {"sum": int(total), run: time.perf_counter() - began}
        found[f"{run}_processor"] = time.process_time() - worked
    return found


def apart(warehouse: Path, task: str, view: str, how: str) -> dict[str, Any]:
    """Measure in a process of its own, with its peak memory."""
    command = [sys.executable, __file__, "--warehouse", str(warehouse), "--task", task, view, how]
    environment = os.environ | {"POLARS_MAX_THREADS": str(THREADS), "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"more than {PATIENCE} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    return json.loads(done.stdout)


def one(options: argparse.Namespace) -> None:
    """Be that process."""
    view, how = options.views
    if options.task == "operators":
        found = measure_operators(options.warehouse, view)
    else:
        measure = measure_view if options.task == "view" else measure_peer
        found = measure(options.warehouse, view, how)
    found["gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    json.dump(found, sys.stdout)


def line(view: str, iceberg: dict[str, Any], parquet: dict[str, Any]) -> dict[str, Any]:
    """Print and return one view's figures."""
    entry: dict[str, Any] = {"view": view, "iceberg": iceberg, "parquet": parquet}
    error = iceberg.get("error") or parquet.get("error")
    if error:
        print(f"{view:32} {error[:80]}")
        return entry | {"broken": [error]}
    if iceberg["rows"] != parquet["rows"]:
        raise SystemExit(
            f"{view}: {iceberg['rows']} rows through Iceberg, {parquet['rows']} over Parquet"
        )
    again, plain = iceberg["warm_processor"], parquet["warm_processor"]
    entry["ratio"] = again / plain
    entry["broken"] = [
        limit
        for limit, broken in (
            (f"over {LIMIT_SECONDS:.0f} s", iceberg["cold"] > LIMIT_SECONDS),
            (f"over {LIMIT_GIB} GiB", iceberg["gib"] > LIMIT_GIB),
            (
                f"over {LIMIT_RATIO} x",
                entry["ratio"] > LIMIT_RATIO and again - plain > LEAST_SECONDS,
            ),
        )
        if broken
    ]
    print(
        f"{view:28} {iceberg['cold']:7.2f} s {iceberg['warm']:7.2f} s"
        f" {iceberg['cold_processor']:7.2f} s {iceberg['warm_processor']:7.2f} s"
        f" {entry['ratio']:5.2f} x {iceberg['gib']:5.1f} GiB {iceberg['rows']:>11,} rows"
        f"{''.join(f' {limit}' for limit in entry['broken'])}",
        flush=True,
    )
    return entry


def measured(warehouse: Path, view: str) -> dict[str, Any]:
    """Return one view's figures; those of a second time where a limit was broken at first."""
    entry: dict[str, Any] = {}
    for _ in range(2):
        before = entry.get("broken")
        entry = line(view, *(apart(warehouse, "view", view, how) for how in ("iceberg", "parquet")))
        if before:
            entry["broken"] = [limit for limit in entry["broken"] if limit in before]
        if not entry["broken"]:
            break
    return entry


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    from lakehouse.query.views.library import load_views

    names = options.views or sorted(load_views())
    print(
        f"{'view':28} first query of a session, again; processor seconds of both; "
        "again / over Parquet; peak memory; rows"
    )
    views = [measured(options.warehouse, name) for name in names]
    peers = {}
    for name in [n for n in PEERS if n in names]:
        pair = {how: apart(options.warehouse, "peer", name, how) for how in ("sql", "polars")}
        peers[name] = pair
        if any("error" in p for p in pair.values()):
            print(f"{name}: {pair}")
            continue
        if pair["sql"]["sum"] != pair["polars"]["sum"]:
            raise SystemExit(f"{name}: SQL and polars differ: {pair}")
        first, again = (pair["sql"][run] / pair["polars"]["warm"] for run in ("cold", "warm"))
        print(
            f"{name}: SQL through Iceberg takes {first:.2f} times as long as polars, again "
            f"{again:.2f} times ({pair['sql']['warm']:.2f} s, {pair['polars']['warm']:.2f} s; "
            "the same sum)"
        )
    fine = [v for v in views if "ratio" in v]
    slowest = sorted(fine, key=lambda v: -v["iceberg"]["cold"])[:5]
    print("The slowest, with the processor seconds and rows of the operators that dominate:")
    for view in slowest:
        view |= apart(options.warehouse, "operators", view["view"], "iceberg")
        told = "; ".join(f"{n} {s:.1f} s, {r:,} rows" for n, s, r in view["operators"][:DOMINANT])
        print(f"  {view['view']} {view['iceberg']['cold']:.1f} s: {told}", flush=True)
    broken = [v["view"] for v in views if v["broken"]]
    print(f"Limits broken: {', '.join(broken) or 'none'}")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "observations": options.observations,
        "limits": {"seconds": LIMIT_SECONDS, "ratio": LIMIT_RATIO, "memory": MEMORY},
        "views": views,
        "peers": peers,
        "slowest": [v["view"] for v in slowest],
        "broken": broken,
    }


def main() -> None:
    """Build the warehouse where there is none, and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("views", nargs="*", help="only these views")
    parser.add_argument("--observations", type=int, default=20_000_000)
    parser.add_argument("--warehouse", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--task", choices=("view", "peer", "operators"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        one(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.warehouse = options.warehouse or Path(folder) / "warehouse"
        if not options.warehouse.exists():
            from sql_warehouse import build

            print(f"Making a warehouse of {options.observations:,} observations", flush=True)
            build(options.warehouse, options.observations)
        found = report(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if found["broken"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""Readers that this project did not write: polars on the tables, Spark's dialect on the views.

Spark is LakeSail's server from PyPI (no JVM), the rows are those of the views' own cases. Every
view runs there in Spark's SQL, over the rows that Spark made of the views below it; those that
differ by a fault of the server are told with it.
"""

from __future__ import annotations

import importlib
import os
import tomllib
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa
import pytest

import lakehouse
from lakehouse.definitions.tables import load_tables
from lakehouse.query.lakehouse import Lakehouse
from lakehouse.query.views.code_sets import load_codes
from lakehouse.query.views.dialects import translate
from lakehouse.query.views.library import load_views
from lakehouse.storage.warehouse import Warehouse

from .conftest import settings, store_rows

CASES = Path(__file__).parents[1] / "data" / "views"

IDS = {"patient_id", "old_patient_id", "encounter_id", "order_id", "record_id"}
"""Made unique by case, so that the rows of all cases can lie in one warehouse."""

UNLIKE = {
    "condition_clusters": "a window over RANGE of an interval finds no earlier row",
    "length_of_stay": "percentile_cont does not interpolate: 4.0 for 3.6",
}
"""Views whose rows differ by a fault of the server (Sail 0.7), with the fault; all others agree."""


def rows_of_cases() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every case that gives tables only."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, path in enumerate(sorted(CASES.glob("*/*.toml"))):
        given = tomllib.loads(path.read_text(encoding="utf-8")).get("given", {})
        if any(name not in load_tables() for name in given):
            continue
        for name, rows in given.items():
            for row in rows:
                kept = {k: v for k, v in row.items() if v != "<null>"}
                for key in IDS & kept.keys():
                    kept[key] = f"{kept[key]}~{number}"
                found[name].append(kept)
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    path: Path = tmp_path_factory.mktemp("readers") / "warehouse"
    Warehouse.create(path, settings("limited")).close()
    store_rows(path, rows_of_cases())
    with lakehouse.open(path) as opened:
        yield opened


def plain(table: pa.Table) -> list[tuple[Any, ...]]:
    """Return rows in one order, with numbers to six digits."""

    def value(v: Any) -> Any:
        if isinstance(v, bool) or v is None:
            return v
        return float(f"{float(v):.6g}") if isinstance(v, (int, float)) else str(v)

    return sorted((tuple(value(v) for v in row.values()) for row in table.to_pylist()), key=repr)


@pytest.mark.parametrize("name", ["patients", "observations", "conditions", "encounters"])
def test_polars_reads_the_same_rows(
    lake: Lakehouse, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    stored = lake.warehouse.iceberg(name)
    ours = lake.sql(f"SELECT * FROM {name}").arrow()
    for source in (stored, stored.metadata_location):
        theirs = polars.scan_iceberg(source).collect().to_arrow()
        assert ours.num_rows > 10
        assert theirs.column_names == ours.column_names
        assert plain(theirs) == plain(ours)


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """A Spark session on a server of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyspark speaks of pandas 3 and old protocols
        server_type = importlib.import_module("pysail.spark").SparkConnectServer
        pyspark = importlib.import_module("pyspark")
        # A worker of xdist is no program beside which pyspark would find its own folder.
        os.environ.setdefault("SPARK_HOME", str(Path(pyspark.__file__).parent))
        sessions = importlib.import_module("pyspark.sql").SparkSession
        server = server_type(ip="127.0.0.1", port=0)
        server.start(background=True)
        session = sessions.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}")
        opened = session.getOrCreate()
        opened.conf.set("spark.sql.session.timeZone", "UTC")
        yield opened
        opened.stop()
        server.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_spark_gives_the_same_rows(lake: Lakehouse, spark: Any) -> None:
    views = {n: v for n, v in load_views().items() if not v.parameters}
    needed = {d for view in load_views().values() for d in view.depends_on}
    spark.sql("CREATE DATABASE codes").collect()
    for name in sorted(needed & set(load_tables())):
        folder = lake.location.locations[name]
        spark.read.format("iceberg").load(folder).createOrReplaceTempView(name)
    for name in sorted(n.partition(".")[2] for n in needed if n.startswith("codes.")):
        frame = spark.createDataFrame(load_codes(name).rows)
        frame.write.mode("overwrite").saveAsTable(f"codes.{name}")

    alike, filled = set(), 0
    for each in translate("spark", tuple(views), namespace=""):
        name = each.view.name
        if each.view.parameters:  # a macro: the views that call it have it written out
            continue
        frame = spark.sql(each.sql)
        theirs = frame.toArrow()
        # Its rows instead of its SQL: no view above it is planned anew from the tables.
        made = spark.createDataFrame(theirs) if theirs.num_rows else frame
        made.createOrReplaceTempView(name)
        ours = lake.sql(f"SELECT * FROM {name}").arrow()
        if plain(theirs) == plain(ours):
            alike.add(name)
            filled += bool(ours.num_rows)
    assert views.keys() - alike == UNLIKE.keys()
    assert filled > 80

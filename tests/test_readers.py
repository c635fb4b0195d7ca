"""Readers that this project did not write open the tables with the right rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from lakehouse.privacy.keys import Secret
from lakehouse.synth import tutorial


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("readers")
    Secret.create(place / "key")
    lakehouse.init(place / "warehouse", key_file=place / "key")
    for number, count in enumerate((300, 600)):  # two snapshots; the second repeats half
        feed = place / f"feed{number}"
        tutorial.write(feed, count, 100)
        lakehouse.ingest(
            feed,
            place / "warehouse",
            engine="local",
            key_file=place / "key",
            show_progress=False,
        )
    yield place / "warehouse"


def table(home: Path, name: str) -> str:
    return str(home / "tables" / name)


def ours(home: Path, query: str) -> list[tuple[Any, ...]]:
    with lakehouse.open(home) as lake:
        return lake.sql(query).fetchall()


SUMS = "SELECT count(*), sum(value_number), count(DISTINCT patient_id) FROM observations"


def test_polars_reads_the_tables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")

    metadata = (home / "tables" / "observations" / "metadata" / "version-hint.text").read_text()
    file = home / "tables" / "observations" / "metadata" / f"{metadata}.metadata.json"
    frame = pl.scan_iceberg(str(file)).collect()
    found = (len(frame), frame["value_number"].sum(), frame["patient_id"].n_unique())
    assert [found] == ours(home, SUMS)
    assert found[0] == 200


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
def test_spark_reads_the_tables(home: Path) -> None:
    """Spark's protocol and SQL, by Sail: no JVM."""
    server = pytest.importorskip(
        "pysail.spark", reason="pysail is not installed"
    ).SparkConnectServer(ip="127.0.0.1", port=0)
    server.start()
    try:
        from pyspark.sql import SparkSession

        host, port = server.listening_address
        spark = SparkSession.builder.remote(f"sc://{host}:{port}").getOrCreate()
        spark.read.format("iceberg").load(table(home, "observations")).createOrReplaceTempView(
            "observations"
        )
        (row,) = spark.sql(SUMS).collect()
        assert [tuple(row)] == ours(home, SUMS)
        spark.stop()
    finally:
        server.stop()

"""A warehouse in an object store: a real S3 server on loopback, read by DuckDB under the lock."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import lakehouse
from lakehouse.definitions.tables import load_tables
from lakehouse.query.connection.shell_database import prepare, shell_command
from lakehouse.query.connection.store_secrets import secret_statements
from lakehouse.storage.io.data_files import write_tables
from lakehouse.storage.maintenance.release_records import pinned_snapshots
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

from .conftest import conform_rows, ledger, observations, settings

ROOT = "s3://hospital/warehouse"
KEY = "SECRET0123456789SECRET"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty bucket, and the variables by which AWS's own tools reach it."""
    pytest.importorskip("moto.server", reason="moto is not installed")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", aws_access_key_id="testing",
        aws_secret_access_key=KEY, region_name="us-east-1",
    )  # fmt: skip
    client.create_bucket(Bucket="hospital")
    client.close()
    yield
    server.stop()


@pytest.mark.slow
def test_a_warehouse_in_an_object_store(bucket: None, tmp_path: Path) -> None:
    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db"}
    Warehouse.create(ROOT, settings(), catalog).close()
    rows = {"observations": conform_rows(
        "observations", observations(10), load_tables()["observations"].schema
    )}  # fmt: skip
    with Warehouse.open(ROOT, catalog) as opened, IngestTransaction(opened, "one") as transaction:
        files = write_tables(opened.write_spec(), rows, transaction.attempt, 0)
        transaction.commit(files, ledger("one", rows))

    with lakehouse.open(ROOT, catalog=catalog) as lake:
        query = "SELECT count(*), sum(value_number) FROM observations"
        assert lake.sql(query).fetchall() == [(10, 45.0)]
        # twice: what a session keeps is asked for again only when a table has changed
        for _ in range(2):
            assert lake.sql("SELECT count(*) FROM lab_results").fetchall() == [(10,)]
        assert KEY not in repr(lake.location)
        for elsewhere in ("s3://elsewhere/x", "/etc/passwd"):
            with pytest.raises(duckdb.PermissionException):
                lake._session.con.execute(f"FROM read_text('{elsewhere}')")
        init = prepare(lake.location, lake.folder("shell"))
        saved = lake.cohort("high").where(lab=("glucose", ">=", 5))
        assert saved.save() == f"{ROOT}/cohorts/high.json"
        assert lake.cohort.names() == ["high"]
        assert lake.cohort.load("high").rows().fetchall() == saved.rows().fetchall()
    with Warehouse.open(ROOT, catalog) as opened:
        current = opened.iceberg("observations").metadata.current_snapshot_id
        assert pinned_snapshots(opened, "observations") == {current}

    assert KEY not in init.read_text()
    assert str(init).startswith(str(tmp_path / "cache"))
    shell = [*shell_command(init), "-csv", "-noheader", "-c", "SELECT count(*) FROM observations"]
    done = subprocess.run(shell, capture_output=True, text=True)
    assert done.stdout.split()[-1:] == ["10"], done.stdout + done.stderr


def test_no_store_no_secret() -> None:
    assert secret_statements({}) == []
    assert secret_statements({"uri": "sqlite:///x"}) == []

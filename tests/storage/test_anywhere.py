"""An object store, a PostgreSQL catalog, a second SQL catalog: the same promises."""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pyiceberg.utils.config import Config

from lakehouse.errors import WarehouseError
from lakehouse.storage import Warehouse, hints, known_files, recover

from .cases import SETTINGS, content, ingest, unreferenced
from .processes import run, start

pytestmark = pytest.mark.slow


@dataclass
class Somewhere:
    """Where a warehouse is made, and with which catalog.

    Attributes:
        path: Folder or URI.
        catalog: Properties or name.
        environment: Variables that its processes need.
    """

    path: str
    catalog: dict[str, str] | str
    environment: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def object_store() -> Iterator[dict[str, str]]:
    """A real S3 server on loopback; yields the variables by which it is reached."""
    pytest.importorskip("moto.server", reason="moto is not installed")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket="hospital")
    client.close()
    yield environment
    server.stop()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A real PostgreSQL server on loopback; yields the address of its database."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    found = shutil.which("initdb") or next(
        (str(p) for p in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None
    )
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    programs = Path(found).resolve().parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # PostgreSQL refuses to run as root; its Debian package made a user for it.
    become = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    with tempfile.TemporaryDirectory() as folder:
        if become:
            shutil.chown(folder, "postgres")

        def call(*command: str) -> None:
            done = subprocess.run([*become, *command], capture_output=True, cwd=folder)
            if done.returncode:
                pytest.skip(f"PostgreSQL does not start here: {done.stderr.decode()[-200:]}")

        data = f"{folder}/data"
        call(str(programs / "initdb"), "-D", data, "-U", "lakehouse", "-A", "trust")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
        control = (str(programs / "pg_ctl"), "-D", data)
        call(*control, "-w", "-l", f"{folder}/log", "-o", options, "start")
        yield f"postgresql+psycopg://lakehouse@127.0.0.1:{port}/postgres"
        call(*control, "-m", "immediate", "stop")


@pytest.fixture(params=["s3", "postgres", "named"])
def somewhere(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Somewhere:
    """A place for a warehouse, of each kind."""
    if request.param == "s3":
        environment = request.getfixturevalue("object_store")
        catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db?timeout=30"}
        place = Somewhere(f"s3://hospital/{tmp_path.name}", catalog, environment)
    elif request.param == "postgres":
        address = request.getfixturevalue("postgres")
        name = "".join(c for c in tmp_path.name if c.isalnum())
        environment = {
            f"PYICEBERG_CATALOG__{name.upper()}__TYPE": "sql",
            f"PYICEBERG_CATALOG__{name.upper()}__URI": address,
        }
        place = Somewhere(str(tmp_path / "w"), name.lower(), environment)
    else:
        (tmp_path / ".pyiceberg.yaml").write_text(
            f"catalog:\n  second:\n    type: sql\n    uri: sqlite:///{tmp_path}/c.db?timeout=30\n"
        )
        place = Somewhere(str(tmp_path / "w"), "second", {"PYICEBERG_HOME": str(tmp_path)})
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    # pyiceberg reads its configuration when it is imported, which has long happened here.
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    return place


@pytest.fixture
def made(somewhere: Somewhere) -> Iterator[Warehouse]:
    """An empty warehouse there."""
    with Warehouse.create(somewhere.path, SETTINGS, somewhere.catalog) as warehouse:
        yield warehouse


def check(warehouse: Warehouse) -> None:
    """No file without a use, no attempt, every hint current."""
    assert unreferenced(warehouse) == set()
    assert warehouse.files.list(warehouse.attempts) == []
    for table in warehouse.tables():
        held = hints.current(warehouse.files, warehouse.location(table))
        assert held == hints.stem(warehouse.iceberg(table).metadata_location)


def test_a_warehouse_is_reached_by_its_place_alone(made: Warehouse, somewhere: Somewhere) -> None:
    ingest(made, "one")
    with Warehouse.open(somewhere.path) as warehouse:
        assert warehouse.settings.profile == "safe_harbor"
        assert len(content(warehouse, "patients")) == 3
        assert known_files(warehouse, ["file-of-one"]) == {"file-of-one"}
    assert Warehouse.exists(somewhere.path)
    assert not Warehouse.exists(somewhere.path + "-not")
    check(made)


@pytest.mark.parametrize("point", ["files-written", "committed:observations", "before-ledger"])
def test_a_kill_and_a_second_run_equal_one_clean_run(
    made: Warehouse, somewhere: Somewhere, point: str
) -> None:
    died = run(somewhere.path, crash_at=point, environment=somewhere.environment)
    assert died == -signal.SIGKILL
    assert run(somewhere.path, environment=somewhere.environment) == 0
    assert len(content(made, "patients")) == len(content(made, "observations")) == 3
    assert len(content(made, "ingests")) == len(content(made, "ingest_files")) == 1
    check(made)


def test_two_processes_at_once(made: Warehouse, somewhere: Somewhere) -> None:
    running = [
        start(somewhere.path, command, environment=somewhere.environment)
        for command in ("many:a", "claim", "claim")
    ]
    for process in running:
        process.join(300)
    assert [p.exitcode for p in running] == [0, 0, 0]
    ids = made.iceberg("patients").scan().to_arrow()["record_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 4 * 3 + 3
    recover(made)
    assert made.files.list(made.attempts) == []


def test_an_object_store_needs_a_catalog_outside_it(object_store: dict[str, str]) -> None:
    with pytest.raises(WarehouseError, match="--catalog"):
        Warehouse.create("s3://hospital/none", SETTINGS)


def test_a_store_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(WarehouseError, match="cannot be reached"):
        Warehouse.open("s3://hospital/none")

"""Fixtures that every test may use."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from lakehouse.formats import formats
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.storage.metadata.settings import Settings
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.samples import public_samples
from tests.helpers.warehouses import create_warehouse

settings.register_profile("lakehouse", deadline=None)  # a busy machine is no failure
settings.load_profile("lakehouse")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public sample files; the test skips, and says so, where it is absent."""
    folder = public_samples()
    if not folder.is_dir():
        pytest.skip("sample data not found: set LAKEHOUSE_SAMPLE_DATA to its folder")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what goes to one worker: all that needs Ray's cluster, else a file; slow files first."""

    def file_of(item: pytest.Item) -> str:
        return "ray" if item.get_closest_marker("ray") else str(item.path)

    slow = {file_of(item) for item in items if item.get_closest_marker("slow")} | {"ray"}
    items.sort(key=lambda item: file_of(item) not in slow)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(file_of(item)))


PLUGIN = Path(__file__).parent / "data" / "plugin"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The formats ``lines`` and ``cards``, installed as an outsider's package would be."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=os.pathsep)
    formats.cache_clear()
    module = import_module("lines_format")
    yield module
    module.on_record.clear()
    formats.cache_clear()


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key file, the same for all tests of a session."""
    path = tmp_path_factory.mktemp("key") / "test.key"
    Secret.create(path)
    return path


@pytest.fixture
def secret(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> Secret:
    """The secret of the session's key file, which the environment names as well."""
    monkeypatch.setenv("LAKEHOUSE_KEY_FILE", str(key_file))
    return Secret.load(key_file)


@pytest.fixture
def new_warehouse(tmp_path: Path, secret: Secret) -> Iterator[Callable[..., Warehouse]]:
    """A function that makes an empty warehouse of a name; the same name opens it again."""
    opened: list[Warehouse] = []

    def make(name: str = "warehouse", profile: str = "safe_harbor", **settings: Any) -> Warehouse:
        path = tmp_path / name
        policy = load_policy(profile)
        own = Settings(profile, secret.key_id, policy.sha256, **settings)
        opened.append(Warehouse.open(path) if path.exists() else create_warehouse(path, own))
        return opened[-1]

    yield make
    for warehouse in opened:
        warehouse.close()


OF_THE_RUN = {"ingest_id", "started_at", "finished_at", "engine", "path_id"}
"""Columns that tell of the run and not of the data."""


@pytest.fixture(scope="session")
def rows_of() -> Callable[[Warehouse], dict[str, list[tuple[Any, ...]]]]:
    """A function that returns every row of every table, sorted, without what tells of the run."""

    def rows(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
        found = {}
        for name in warehouse.tables():
            table = warehouse.iceberg(name).scan().to_arrow()
            kept = table.select([c for c in table.column_names if c not in OF_THE_RUN])
            found[name] = sorted(map(repr, zip(*kept.to_pydict().values(), strict=True)))
        return found

    return rows


@pytest.fixture(scope="session")
def read_only() -> Callable[[Path], AbstractContextManager[None]]:
    """A function that takes away the right to write to a folder and all below it, for a while.

    Rights are nothing to root, so for root the folder is mounted read-only.
    """

    @contextmanager
    def refusing(folder: Path) -> Iterator[None]:
        if os.geteuid():
            folders = [folder, *(p for p in folder.rglob("*") if p.is_dir())]
            for each in folders:
                each.chmod(0o500)
            yield
            for each in folders:
                each.chmod(0o700)
            return
        if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode:
            pytest.skip("root may write anywhere, and a bind mount is not allowed here")
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
            yield
        finally:
            subprocess.run(["umount", "-l", folder], check=True)

    return refusing


@dataclass(frozen=True)
class Somewhere:
    """Where a warehouse is made, and with which catalog.

    Attributes:
        path: Folder or URI.
        catalog: Name in ``.pyiceberg.yaml``.
    """

    path: str
    catalog: str


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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
    """A place for a warehouse, of each kind, with a catalog that ``.pyiceberg.yaml`` names."""
    from pyiceberg.utils.config import Config

    path, uri = str(tmp_path / "anywhere"), f"sqlite:///{tmp_path}/second.db?timeout=30"
    # A catalog keeps its rows under its name, so that tests may share one database.
    name = "c" + "".join(c for c in tmp_path.name if c.isalnum()).lower()
    if request.param == "s3":
        for variable, value in request.getfixturevalue("object_store").items():
            monkeypatch.setenv(variable, value)
        path = f"s3://hospital/{tmp_path.name}"
    elif request.param == "postgres":
        uri = request.getfixturevalue("postgres")
    (tmp_path / ".pyiceberg.yaml").write_text(
        f"catalog:\n  {name}:\n    type: sql\n    uri: {uri}\n"
    )
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))
    # pyiceberg reads its configuration when it is imported, which has long happened here.
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    return Somewhere(path, name)

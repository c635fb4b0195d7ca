"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from lakehouse.formats import formats
from lakehouse.privacy.keys import Secret
from lakehouse.privacy.policy import load_policy
from lakehouse.storage.settings import Settings
from lakehouse.storage.warehouse import Warehouse

ROOT = Path(__file__).parents[1]

settings.register_profile("lakehouse", deadline=None)  # a busy machine is no failure
settings.load_profile("lakehouse")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public sample files; the test skips, and says so, where it is absent."""
    default = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("LAKEHOUSE_SAMPLE_DATA", default))
    if not folder.is_dir():
        pytest.skip("sample data not found: set LAKEHOUSE_SAMPLE_DATA to its folder")
    return folder


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
        opened.append(Warehouse.open(path) if path.exists() else Warehouse.create(path, own))
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

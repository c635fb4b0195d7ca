"""Empty warehouses by the hundred: the first of its kind is made, the others are its copies."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import sqlite3
import tempfile
import uuid
from contextlib import closing
from pathlib import Path

from lakehouse.definitions.tables import load_tables
from lakehouse.storage.metadata import schemas
from lakehouse.storage.metadata.settings import Settings
from lakehouse.storage.warehouse import Warehouse

_models: dict[tuple[str, str], Path] = {}


def create_warehouse(path: Path, settings: Settings) -> Warehouse:
    """Make an empty warehouse in a folder that has none, as ``Warehouse.create`` does.

    A moved warehouse is refused, so a copy is given its own location wherever one is written; as
    it is empty, that is in no manifest. Its tables have ids of their own.
    """
    model = _model(settings)
    shutil.copytree(model, path, dirs_exist_ok=True)
    before, after = _quoted(model), _quoted(path)
    for file in [path / "lakehouse.json", *path.glob("tables/*/metadata/*.json")]:
        text = file.read_text().replace(f'"{before}', f'"{after}')
        text = re.sub(r'"table-uuid":"[^"]*"', f'"table-uuid":"{uuid.uuid4()}"', text)
        file.write_text(text)
    with closing(sqlite3.connect(path / "catalog.db")) as catalog, catalog:
        catalog.execute(
            "UPDATE iceberg_tables SET metadata_location = ? || substr(metadata_location, ?)",
            (str(path), len(str(model)) + 1),
        )
    return Warehouse.open(path)


def _model(settings: Settings) -> Path:
    kind = (repr(settings), schemas.fingerprint(load_tables()))
    if kind not in _models:
        folder = Path(tempfile.mkdtemp()).resolve()
        atexit.register(shutil.rmtree, folder)
        Warehouse.create(folder / "warehouse", settings).close()
        _models[kind] = folder / "warehouse"
    return _models[kind]


def _quoted(path: Path) -> str:
    return json.dumps(str(path))[1:-1]

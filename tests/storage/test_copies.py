"""A copied empty warehouse is the one that would have been made."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from lakehouse.storage.metadata.settings import Settings
from lakehouse.storage.warehouse import Warehouse
from tests.helpers.warehouses import create_warehouse

from .cases import content, ingest

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r'(?<="last-updated-ms":)\d+|(?<="timestamp-ms":)\d+|(?<="created_at": ")[^"]+')


def all_of(root: Path) -> dict[str, str]:
    """Return every file by name, without ids and times and with the root left out."""

    def plain(text: str) -> str:
        return TIME.sub("TIME", UUID.sub("ID", text)).replace(str(root), "ROOT")

    found = {
        plain(str(p.relative_to(root))): plain(p.read_text())
        for p in root.rglob("*")
        if p.is_file() and p.name != "catalog.db"
    }
    with closing(sqlite3.connect(root / "catalog.db")) as catalog:
        return found | {"catalog.db": plain("\n".join(catalog.iterdump()))}


@pytest.mark.parametrize("profile", ["safe_harbor", "limited"])
def test_a_copied_warehouse_equals_one_freshly_made(profile: str, tmp_path: Path) -> None:
    settings = Settings(profile, key_id="0123456789abcdef", policy_sha256="ab" * 32, buckets=4)
    one, other, made = (tmp_path / name for name in ("one", "two #2 %", "made"))
    with (
        create_warehouse(one, settings) as first,
        create_warehouse(other, settings) as second,
        Warehouse.create(made, settings) as fresh,
    ):
        assert all_of(one) == all_of(other) == all_of(made)
        assert tempfile.gettempdir() not in "".join(all_of(one).values())
        ids = {w.iceberg("patients").metadata.table_uuid for w in (first, second, fresh)}
        assert len(ids) == 3
        for warehouse in (first, second, fresh):
            ingest(warehouse, "one")
        assert content(first, "patients") == content(second, "patients")
        assert content(first, "patients") == content(fresh, "patients")

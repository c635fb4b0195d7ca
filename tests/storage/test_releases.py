from __future__ import annotations

import pytest

from lakehouse.errors import UserError
from lakehouse.storage.maintenance.maintain import maintain
from lakehouse.storage.maintenance.releases import (
    create_release,
    diff_releases,
    drop_release,
    find_release,
    list_releases,
)
from lakehouse.storage.warehouse import Warehouse

from .cases import ingest


def test_a_release_pins_every_table(warehouse: Warehouse) -> None:
    ingest(warehouse, "one")
    made = create_release(warehouse, "2026-q1")
    ingest(warehouse, "two")
    assert made.rows["patients"] == 3
    assert made.snapshots["orders"] is None
    for table in ("patients", "observations", "ingests"):
        shown = warehouse.snapshots(table).to_pylist()
        assert [s["release"] for s in shown] == ["2026-q1", None]
        assert made.snapshots[table] == shown[0]["snapshot_id"]
    assert list_releases(warehouse) == [made]


def test_two_releases_are_compared_row_by_row_whatever_the_files(warehouse: Warehouse) -> None:
    ingest(warehouse, "one", 5)
    ingest(warehouse, "two", 2)
    create_release(warehouse, "a")
    maintain(warehouse)
    warehouse.iceberg("patients").delete("record_id = 'one-00000001'")
    ingest(warehouse, "three", 4)
    create_release(warehouse, "b")
    changes = {c.table: (c.n_added, c.n_removed) for c in diff_releases(warehouse, "a", "b")}
    assert changes["patients"] == (4, 1)
    assert changes["observations"] == (4, 0)
    assert changes["orders"] == (0, 0)
    back = {c.table: (c.n_added, c.n_removed) for c in diff_releases(warehouse, "b", "a")}
    assert back["patients"] == (1, 4)


def test_a_dropped_release_is_let_go(warehouse: Warehouse) -> None:
    ingest(warehouse, "one")
    create_release(warehouse, "a")
    drop_release(warehouse, "a")
    assert list_releases(warehouse) == []
    assert warehouse.snapshots("patients")["release"].to_pylist() == [None]


@pytest.mark.parametrize("name", ["", "main", "two words", "../up", "x" * 65])
def test_names_that_are_no_tags_are_refused(warehouse: Warehouse, name: str) -> None:
    with pytest.raises(UserError):
        create_release(warehouse, name)


def test_a_name_is_used_once_and_a_wrong_one_is_told(warehouse: Warehouse) -> None:
    create_release(warehouse, "2026-q1")
    with pytest.raises(UserError, match="already"):
        create_release(warehouse, "2026-q1")
    with pytest.raises(UserError, match="Did you mean 2026-q1"):
        find_release(warehouse, "2026-q2")

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.definitions.tables import Column, Table, load_tables
from lakehouse.errors import UserError, WarehouseError
from lakehouse.storage.metadata import schemas, snapshots, version_hints
from lakehouse.storage.metadata.settings import Settings, check_settings, refuse_secrets
from lakehouse.storage.warehouse import Warehouse

from .cases import SETTINGS, content, ingest, unreferenced


def test_every_definition_is_a_table_with_its_docs_and_promises(warehouse: Warehouse) -> None:
    assert warehouse.tables() == sorted(load_tables())
    for table in load_tables().values():
        made = warehouse.iceberg(table.name)
        assert made.properties["comment"] == table.doc
        assert made.properties["lakehouse.profile"] == "safe_harbor"
        assert made.properties["lakehouse.key-id"] == SETTINGS.key_id
        assert made.properties["lakehouse.policy-sha256"] == SETTINGS.policy_sha256
        assert made.metadata.format_version == 2
        assert not made.sort_order().fields
        fields = {f.name: f.doc for f in made.schema().fields}
        assert fields == {c.name: c.doc for c in table.columns.values()}
        assert version_hints.read_stem(
            warehouse.files, made.location()
        ) == version_hints.metadata_stem(made.metadata_location)


def test_the_settings_are_read_back_and_hold_no_secret(tmp_path: Path) -> None:
    settings = replace(SETTINGS, data_use_agreement="DUA-7", authority="HOSP", buckets=3)
    with Warehouse.create(tmp_path / "w", settings) as made:
        with Warehouse.open(tmp_path / "w") as opened:
            assert opened.settings == made.settings
            assert opened.settings.data_use_agreement == "DUA-7"
        table = made.iceberg("patients")
    assert table.properties["lakehouse.data-use-agreement"] == "DUA-7"
    assert str(table.spec().fields[0].transform) == "bucket[3]"


def test_a_second_warehouse_in_one_place_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="already"):
        Warehouse.create(warehouse.path, SETTINGS)


def test_no_warehouse_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="lakehouse init"):
        Warehouse.open(tmp_path)
    assert not Warehouse.exists(tmp_path)
    assert not list(tmp_path.iterdir()), "looking makes nothing"


def test_a_place_that_takes_no_catalog_is_told(tmp_path: Path) -> None:
    (tmp_path / "w" / "catalog.db").mkdir(parents=True)
    with pytest.raises(WarehouseError, match="cannot be read and written"):
        Warehouse.create(tmp_path / "w", SETTINGS)
    with pytest.raises(WarehouseError, match="not a folder that can be written"):
        Warehouse.create("/proc/w", SETTINGS)
    for blank in ("", " "):
        with pytest.raises(WarehouseError, match="is empty"):
            Warehouse.create(blank, SETTINGS)


def test_a_catalog_that_holds_something_else_is_told(tmp_path: Path) -> None:
    """Named in place of the warehouse's own: never filled, and no error of pyiceberg leaks."""
    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db?timeout=30"}
    Warehouse.create(tmp_path / "w", SETTINGS).close()
    with pytest.raises(WarehouseError, match="does not hold the tables of the warehouse"):
        Warehouse.open(tmp_path / "w", catalog)
    Warehouse.create(tmp_path / "other", SETTINGS, catalog).close()
    with pytest.raises(WarehouseError, match="of another warehouse"):
        Warehouse.open(tmp_path / "w", catalog)
    with Warehouse.open(tmp_path / "other") as opened:
        Path(tmp_path, "c.db").unlink()
    with Warehouse.open(tmp_path / "other") as opened:
        for ask in (opened.tables, lambda: opened.snapshots("patients"), opened.write_spec):
            with pytest.raises(WarehouseError, match="does not hold the tables"):
                ask()


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "w").write_text("a file")
    with pytest.raises(WarehouseError, match="not a folder"):
        Warehouse.create(tmp_path / "w", SETTINGS)
    with pytest.raises(WarehouseError, match="no warehouse"):
        Warehouse.open(tmp_path / "w")


def test_an_unfinished_warehouse_is_finished_by_the_same_command(tmp_path: Path) -> None:
    with Warehouse.create(tmp_path / "w", SETTINGS):
        (tmp_path / "w" / "lakehouse.json").unlink()
    with Warehouse.create(tmp_path / "w", SETTINGS) as made:
        assert made.tables() == sorted(load_tables())


def test_tables_of_another_profile_are_never_adopted(tmp_path: Path) -> None:
    with Warehouse.create(tmp_path / "w", SETTINGS):
        (tmp_path / "w" / "lakehouse.json").unlink()
    with pytest.raises(WarehouseError, match="another warehouse, profile or key"):
        Warehouse.create(tmp_path / "w", replace(SETTINGS, profile="limited"))


def test_two_warehouses_in_one_catalog_need_two_namespaces(tmp_path: Path) -> None:
    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db?timeout=30"}
    with Warehouse.create(tmp_path / "a", SETTINGS, catalog) as a:
        with pytest.raises(WarehouseError, match="namespace"):
            Warehouse.create(tmp_path / "b", SETTINGS, catalog)
        other = replace(SETTINGS, namespace="other")
        with Warehouse.create(tmp_path / "c", other, catalog) as c:
            ingest(a, "one")
            assert content(c, "patients") == []
            assert len(content(a, "patients")) == 3


def test_a_moved_warehouse_says_where_it_belongs(tmp_path: Path) -> None:
    Warehouse.create(tmp_path / "a", SETTINGS).close()
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(WarehouseError, match="was made in"):
        Warehouse.open(tmp_path / "b")
    os.symlink(tmp_path / "b", tmp_path / "a")
    with Warehouse.open(tmp_path / "a") as found:
        ingest(found, "one")
        assert len(content(found, "patients")) == 3


def test_a_warehouse_reached_by_a_link_is_the_same(warehouse: Warehouse, tmp_path: Path) -> None:
    os.symlink(warehouse.path, tmp_path / "link")
    with Warehouse.open(tmp_path / "link") as linked:
        assert linked.path == warehouse.path
        ingest(linked, "one")
    assert len(content(warehouse, "patients")) == 3
    assert unreferenced(warehouse) == set()


def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    with Warehouse.create(tmp_path / "my ware#house? 100%", SETTINGS) as made:
        ingest(made, "one")
        assert len(content(made, "patients")) == 3


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": "x"}'])
def test_damaged_settings_are_told(warehouse: Warehouse, damage: bytes) -> None:
    (Path(warehouse.path) / "lakehouse.json").write_bytes(damage)
    with pytest.raises(WarehouseError, match="damaged"):
        Warehouse.open(warehouse.path)


def test_settings_of_a_later_version_are_told(warehouse: Warehouse) -> None:
    path = Path(warehouse.path) / "lakehouse.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2, "novel": 1}))
    with pytest.raises(WarehouseError, match="later version"):
        Warehouse.open(warehouse.path)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"profile": "limited"}, "lakehouse init FOLDER --profile limited"),
        ({"key_id": "other"}, "LAKEHOUSE_KEY_FILE"),
        ({"policy_sha256": "cd" * 32}, "Restore the policy file"),
    ],
)
def test_what_would_mix_two_promises_is_refused(asked: dict[str, str], told: str) -> None:
    check_settings(SETTINGS, profile="safe_harbor", key_id=SETTINGS.key_id, policy_sha256="ab" * 32)
    with pytest.raises(WarehouseError, match=told):
        check_settings(SETTINGS, **asked)


@pytest.mark.parametrize(
    "catalog",
    [
        {"uri": "postgresql+psycopg://user:pass@host/db"},
        {"uri": "postgresql://host/db?password=x"},
        {"type": "rest", "token": "x"},
        {"s3.secret-access-key": "x"},
        {"credential": "a:b"},
    ],
)
def test_a_secret_is_never_written_into_the_warehouse(
    tmp_path: Path, catalog: dict[str, str]
) -> None:
    with pytest.raises(WarehouseError, match=r"\.pyiceberg\.yaml"):
        refuse_secrets(catalog)
    with pytest.raises(WarehouseError):
        Warehouse.create(tmp_path / "w", SETTINGS, catalog)
    assert not (tmp_path / "w").exists()


def test_an_unknown_table_is_told_with_the_near_names(warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match="Did you mean patients"):
        warehouse.location("patient")
    with pytest.raises(UserError, match="Did you mean patients"):
        warehouse.iceberg("patient")


def test_a_new_column_and_a_new_table_are_added_on_opening(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(warehouse, "one")
    known = load_tables()
    patients = known["patients"]
    grown = replace(
        patients,
        columns={
            **patients.columns,
            "shoe_size": Column("shoe_size", pa.float64(), "none", "Size of the shoe."),
            "sex": replace(patients.columns["sex"], doc="Said otherwise."),
        },
    )
    novel = Table("shoes", "One shoe.", ("shoe_id",), (), {"shoe_id": grown.columns["shoe_size"]})
    novel = replace(novel, columns={"shoe_id": replace(novel.columns["shoe_id"], name="shoe_id")})

    def definitions() -> dict[str, Table]:
        return {**known, "patients": grown, "shoes": novel}

    for module in ("lakehouse.storage.warehouse", "lakehouse.storage.io.data_files"):
        if hasattr(__import__(module, fromlist=["x"]), "load_tables"):
            monkeypatch.setattr(f"{module}.load_tables", definitions)
    with Warehouse.open(warehouse.path) as opened:
        assert "shoes" in opened.tables()
        schema = opened.iceberg("patients").schema()
        assert schema.find_field("shoe_size").doc == "Size of the shoe."
        assert schema.find_field("sex").doc == "Said otherwise."
        held = version_hints.read_stem(opened.files, opened.location("patients"))
        assert held == version_hints.metadata_stem(opened.iceberg("patients").metadata_location)
        ingest(opened, "two")
        rows = opened.iceberg("patients").scan().to_arrow()
        assert rows.num_rows == 6
        assert rows["shoe_size"].null_count == 6
    before = warehouse.iceberg("patients").metadata_location
    with Warehouse.open(warehouse.path) as again:
        assert again.iceberg("patients").metadata_location == before


def test_the_definitions_have_a_fingerprint() -> None:
    known = load_tables()
    less = {n: t for n, t in known.items() if n != "patients"}
    assert schemas.fingerprint(known) != schemas.fingerprint(less)
    assert Settings("a", "b", "c") == Settings.from_json(Settings("a", "b", "c").to_json(), "x")


def test_snapshots_are_listed_oldest_first(warehouse: Warehouse) -> None:
    for name in ("one", "two"):
        ingest(warehouse, name)
    shown = warehouse.snapshots("patients").to_pylist()
    assert [s["ingest_id"] for s in shown] == ["one", "two"]
    assert [s["rows"] for s in shown] == [3, 6]
    assert shown[0]["committed_at"] <= shown[1]["committed_at"]
    assert warehouse.snapshots("orders").num_rows == 0


def test_the_representation_shows_no_properties(tmp_path: Path) -> None:
    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "s3.region": "canary"}
    with Warehouse.create(tmp_path / "w", SETTINGS, catalog) as made:
        assert "canary" not in repr(made) + repr(made.files) + repr(made.write_spec())
    assert snapshots.INGEST_ID == "lakehouse.ingest-id"

"""The Ray engine gives the tables of the local one; the public doors stand by themselves."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lakehouse
from lakehouse import synth
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import InputError, UserError, WarehouseError
from lakehouse.pipeline.engine import EngineJob, ProcessConfig
from lakehouse.pipeline.progress import NoProgress
from lakehouse.pipeline.reading import ReadOptions
from lakehouse.pipeline.reports import Tally
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.discover import discover
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

Rows = Callable[[Warehouse], dict[str, list[Any]]]
New = Callable[..., Warehouse]


def mixed(folder: Path) -> Path:
    """Write files of every fate: rows, rejects, unreadable, not recognised, packed, twice."""
    folder.mkdir()
    for number in range(40):
        body = "\n".join(f"DOE-{number}-{i};2024-05-0{i + 1};{i}.5" for i in range(9))
        (folder / f"{number:02}.lines").write_text(f"LINES\n{body}\nbad\n")
        card = f"CARD DOE-{number};1960-01-02;{number}\n".encode().ljust(64)
        (folder / f"{number:02}.card").write_bytes(card + b"pixels")
    (folder / "crash.lines").write_text("LINES\nDOE-1;2024-05-01;1\ncrash\n")
    (folder / "crash.card").write_bytes(b"CARD crash\n".ljust(64))
    (folder / "broken.gz").write_bytes(gzip.compress(b"LINES\n" * 9999)[:-5])
    (folder / "packed.gz").write_bytes(gzip.compress(b"LINES\nDOE-77;2024-05-01;7\n"))
    (folder / "twice.lines").write_bytes((folder / "01.lines").read_bytes())
    (folder / "notes.txt").write_text("nobody knows this")
    return folder


def test_both_engines_give_the_same_tables(
    tmp_path: Path, new_warehouse: New, rows_of: Rows, plugin: ModuleType
) -> None:
    feed = mixed(tmp_path / "feed")
    local, remote = new_warehouse("local"), new_warehouse("ray")
    by_local = lakehouse.ingest(feed, local, engine="local")
    by_ray = lakehouse.ingest(feed, remote, engine="ray")
    assert by_ray.engine == "ray"
    for name in ("n_files", "n_known", "n_unrecognised", "n_unreadable", "n_records", "rows"):
        assert getattr(by_ray, name) == getattr(by_local, name), name
    for name in ("unrecognised_kinds", "has_recognised", "unmapped"):
        assert getattr(by_ray, name) == getattr(by_local, name), name
    assert by_local.unrecognised_kinds
    assert by_ray.n_unreadable == 3
    here, there = rows_of(local), rows_of(remote)
    here.pop("ingests"), there.pop("ingests")
    assert there == here
    assert lakehouse.ingest(feed, remote, engine="ray").ingest_id is None


def test_both_engines_read_the_tutorial_alike(
    shared_data: Path, new_warehouse: New, rows_of: Rows
) -> None:
    folder = shared_data / "hl7v2" / "tutorial"
    local, remote = new_warehouse("local"), new_warehouse("ray")
    lakehouse.ingest(folder, local, engine="local")
    lakehouse.ingest(folder, remote, engine="ray")
    assert rows_of(remote) == rows_of(local)
    assert len(rows_of(remote)["records"]) == 300


def test_both_engines_store_the_synthetic_hospital_alike_and_once(
    tmp_path: Path, new_warehouse: New, rows_of: Rows
) -> None:
    """Row for row, HL7 and DICOM; and the same input again, on either engine, changes no row."""
    feed = tmp_path / "hospital"
    made = synth.write(feed, patients=8, years=1)
    local, remote = new_warehouse("local"), new_warehouse("ray")
    by_local = lakehouse.ingest(feed, local, engine="local")
    by_ray = lakehouse.ingest(feed, remote, engine="ray")
    assert by_ray.rows == by_local.rows
    assert by_ray.rows["imaging_instances"] > 0
    assert by_ray.n_records + by_ray.n_rejects > made["hl7v2.messages"]
    here, there = rows_of(local), rows_of(remote)
    here.pop("ingests"), there.pop("ingests")
    assert there == here

    def state(warehouse: Warehouse) -> dict[str, Any]:
        tables = map(warehouse.iceberg, warehouse.tables())
        return {t.name()[-1]: (t.current_snapshot(), t.scan().to_arrow()) for t in tables}

    before = state(local), state(remote)
    assert lakehouse.ingest(feed, local, engine="ray").ingest_id is None
    assert lakehouse.ingest(feed, remote, engine="local").ingest_id is None
    assert (state(local), state(remote)) == before


class Recorder:
    """Someone who watches an ingest, in place of the bar."""

    enabled = True

    def __init__(self) -> None:
        self.expected = (0, 0)
        self.told: list[Tally] = []

    def file_hashed(self, n_bytes: int) -> None:
        pass

    def begin(self, n_files: int, n_bytes: int) -> None:
        self.expected = (n_files, n_bytes)

    def advance(self, tally: Tally) -> None:
        self.told.append(tally)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_the_bar_ends_at_what_was_done(
    engine: str,
    tmp_path: Path,
    new_warehouse: New,
    monkeypatch: pytest.MonkeyPatch,
    plugin: ModuleType,
) -> None:
    recorder = Recorder()
    module = sys.modules["lakehouse.pipeline.ingest"]
    monkeypatch.setattr(module, "progress_bar", lambda show: nullcontext(recorder))
    report = lakehouse.ingest(mixed(tmp_path / "feed"), new_warehouse(), engine=engine)
    total = sum(recorder.told, Tally())
    assert (total.files, total.bytes) == recorder.expected
    assert total.files == report.n_files
    assert (total.records, total.rejects) == (report.n_records, report.n_rejects)


@pytest.mark.parametrize("told", ["changed while it was being read", "vanished"])
def test_an_error_in_a_worker_is_the_error_of_the_call(
    told: str,
    tmp_path: Path,
    new_warehouse: New,
    rows_of: Rows,
    capfd: pytest.CaptureFixture[str],
    plugin: ModuleType,
) -> None:
    feed = mixed(tmp_path / "feed")
    warehouse = new_warehouse()
    empty = rows_of(warehouse)
    from lakehouse.engines import ray as engine
    from lakehouse.privacy.keys.secret import KEY_FILE  # noqa: F401 - the fixture has set it

    with IngestTransaction(warehouse, "test") as transaction:
        key = Path(__import__("os").environ["LAKEHOUSE_KEY_FILE"])
        files = discover(feed, Secret.load(key)).files
        (feed / "05.lines").unlink()  # after it was listed
        if told != "vanished":
            (feed / "05.lines").write_text("LINES\nROE;2024-05-01;1\n")
        job = ProcessConfig(ReadOptions("test"), str(key), "safe_harbor")
        work = EngineJob(files, job, warehouse.write_spec(), transaction.attempt)
        with pytest.raises(InputError, match=told) as caught:
            engine.run(work, NoProgress())
    assert "05.lines" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert rows_of(warehouse) == empty
    assert not list(Path(warehouse.path).rglob("*.parquet"))
    said = "".join(capfd.readouterr())
    assert "05.lines" not in said
    assert "DOE" not in said
    report = lakehouse.ingest(feed, warehouse, engine="ray")
    assert report.rows["records"] == len(rows_of(warehouse)["records"]) > 390


# ------------------------------------------------------------------ the public doors


def test_a_datasource_yields_typed_rows_of_one_table(shared_data: Path, secret: Secret) -> None:
    import ray

    source = lakehouse.HL7Datasource(shared_data / "hl7v2" / "tutorial", table="medications")
    dataset = ray.data.read_datasource(source)
    assert dataset.count() == 100
    rows = dataset.take_all()
    assert set(rows[0]) == set(load_tables()["medications"].columns)
    assert all(len(row["patient_id"]) == 32 for row in rows)


def test_the_count_of_a_datasource_is_the_number_of_messages(
    shared_data: Path, secret: Secret
) -> None:
    import ray

    source = lakehouse.HL7Datasource(shared_data / "hl7v2" / "tutorial")
    assert ray.data.read_datasource(source).count() == 300


def test_a_datasource_has_a_main_table_and_rejects(
    tmp_path: Path, secret: Secret, plugin: ModuleType
) -> None:
    import ray

    feed = mixed(tmp_path / "feed")
    cls = lakehouse.LINESDatasource
    assert cls is lakehouse.LINESDatasource
    assert ray.data.read_datasource(cls(str(feed / "0*.lines"))).count() == 90
    rejects = ray.data.read_datasource(cls(str(feed / "0*.lines"), table="rejects"))
    assert {r["rule"] for r in rejects.take_all()} == {"lines.bad"}
    with pytest.raises(UserError, match="observations"):
        cls(feed, table="observation")
    with pytest.raises(AttributeError):
        lakehouse.NothingDatasource  # noqa: B018


def test_the_sink_stores_what_a_datasource_packs(
    tmp_path: Path, new_warehouse: New, rows_of: Rows, plugin: ModuleType
) -> None:
    import ray

    feed = mixed(tmp_path / "feed")
    local, remote = new_warehouse("local"), new_warehouse("doors")
    lakehouse.ingest(str(feed / "*.lines"), local, engine="local")

    def pipe(**options: Any) -> None:
        source = lakehouse.LINESDatasource(str(feed / "*.lines"), table=None, **options)
        ray.data.read_datasource(source).write_datasink(lakehouse.LakehouseDatasink(remote.path))

    pipe()
    here, there = rows_of(local), rows_of(remote)
    here.pop("ingests"), there.pop("ingests")
    assert there == here
    with pytest.raises(Exception, match="in this warehouse already"):
        pipe()
    assert rows_of(remote)["records"] == here["records"]
    assert not list(Path(remote.path).rglob("*.lease"))


def test_the_sink_refuses_what_is_not_packed_or_not_its_own(
    tmp_path: Path, new_warehouse: New, key_file: Path, plugin: ModuleType
) -> None:
    import ray

    feed = mixed(tmp_path / "feed")
    warehouse = new_warehouse()
    sink = lakehouse.LakehouseDatasink(warehouse.path)
    with pytest.raises(Exception, match="packed blocks only"):
        ray.data.from_items([{"name": "DOE"}]).write_datasink(sink)
    Secret.create(tmp_path / "other.key")
    source = lakehouse.LINESDatasource(
        str(feed / "*.lines"), table=None, key_file=tmp_path / "other.key"
    )
    with pytest.raises(Exception, match="second pseudonym"):
        ray.data.read_datasource(source).write_datasink(lakehouse.LakehouseDatasink(warehouse.path))
    assert not list(Path(warehouse.path).rglob("*.parquet"))
    with pytest.raises(WarehouseError, match="has the profile safe_harbor, not limited"):
        lakehouse.LINESDatasource(feed, table=None, warehouse=warehouse.path, profile="limited")
    with pytest.raises(WarehouseError):
        lakehouse.LakehouseDatasink(tmp_path / "nowhere")


def test_a_datasource_takes_what_no_format_knew_once(
    tmp_path: Path, new_warehouse: New, plugin: ModuleType
) -> None:
    warehouse = new_warehouse()
    (tmp_path / "a").write_bytes(b"nobody knows this")
    lakehouse.ingest(tmp_path / "a", warehouse)

    def tasks() -> int:
        return lakehouse.HL7Datasource(tmp_path / "a", warehouse=warehouse.path).n_tasks

    assert tasks() == 1
    lakehouse.ingest(tmp_path / "a", warehouse, format="hl7v2")
    assert tasks() == 0


def test_no_file_name_travels_in_the_clear(
    tmp_path: Path, secret: Secret, plugin: ModuleType
) -> None:
    from ray import cloudpickle

    feed = mixed(tmp_path / "feed")
    (feed / "DOE_JOHN_1950.lines").write_text("LINES\nDOE;2024-05-01;1\n")
    for task in lakehouse.LINESDatasource(feed, table=None).get_read_tasks(2):
        assert b"DOE_JOHN" not in cloudpickle.dumps(task)
        assert b"pixels" not in cloudpickle.dumps(task)

"""Erasure: gone from every table, snapshot and file; others unchanged; never comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

import lakehouse
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import CommitError, UserError
from lakehouse.pipeline.blocks import unpack_block
from lakehouse.privacy.identity.pseudonyms import pseudonym
from lakehouse.privacy.keys.secret import Secret
from lakehouse.storage.maintenance.inspection import file_contents
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse
from lakehouse.verification.decode import decode_parts
from tests.helpers.hl7v2 import GLUCOSE, lab_message


def message(number: int, control: str, **more: str) -> str:
    return lab_message(number, control, [(GLUCOSE, number)], **more)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    key = tmp_path / "key"
    Secret.create(key)
    monkeypatch.setenv("LAKEHOUSE_KEY_FILE", str(key))
    lakehouse.init(tmp_path / "warehouse")
    for file, numbers in (("a", (1, 2, 3)), ("b", (2, 4))):
        feed = tmp_path / file
        feed.mkdir()
        text = "".join(message(n, f"{file}{n}") for n in numbers)
        (feed / "x.hl7").write_text(text, newline="")
        lakehouse.ingest(feed, tmp_path / "warehouse", engine="local", show_progress=False)
    return tmp_path


def rows(home: Path, but: set[str]) -> dict[str, list[str]]:
    """Every clinical row as text, but those of some patients."""
    found = {}
    with lakehouse.open(home / "warehouse") as lake:
        for name, table in load_tables().items():
            if not table.bookkeeping and "patient_id" in table.columns:
                listed = lake.sql(f"SELECT * FROM {name}").arrow().to_pylist()
                found[name] = sorted(str(r) for r in listed if r["patient_id"] not in but)
    return found


def holding(home: Path, text: str) -> list[str]:
    """The files of the warehouse in which a text is found, decoded."""
    with Warehouse.open(home / "warehouse") as warehouse:
        return [
            name
            for name, data in file_contents(warehouse)
            if text in name or any(text.encode() in piece for _, piece in decode_parts(data))
        ]


def patient(home: Path, number: int) -> str:
    return pseudonym(Secret.load(home / "key"), "patient", "GENERAL", str(number))


def test_a_patient_is_gone_from_every_byte_and_others_are_unchanged(home: Path) -> None:
    gone = patient(home, 2)
    assert len(holding(home, gone)) >= 4
    before = rows(home, {gone})
    report = lakehouse.forget(home / "warehouse", record_number="2", authority="GENERAL")
    assert report.rows == {
        "encounters": 2,
        "observations": 2,
        "orders": 2,
        "patients": 2,
        "records": 2,
    }
    assert holding(home, gone) == []
    assert rows(home, set()) == before
    assert lakehouse.verify(home / "warehouse").passed


def test_the_same_source_does_not_bring_the_patient_back(home: Path) -> None:
    lakehouse.forget(home / "warehouse", patient_id=patient(home, 2))
    new = home / "c"
    new.mkdir()
    (new / "x.hl7").write_text(message(2, "again") + message(5, "new"), newline="")
    report = lakehouse.ingest([home / "a", new], home / "warehouse", show_progress=False)
    assert report.rows["patients"] == 1 and report.n_known == 1
    assert holding(home, patient(home, 2)) == []
    assert lakehouse.verify(home / "warehouse").passed


@pytest.mark.slow
def test_the_ray_doors_do_not_bring_the_patient_back(home: Path) -> None:
    """Datasource and sink alike leave an erased patient out; run here without a cluster."""
    from ray.data.datasource import WriteResult

    gone = patient(home, 2)
    lakehouse.forget(home / "warehouse", patient_id=gone)
    new = home / "c"
    new.mkdir()
    (new / "x.hl7").write_text(message(2, "again") + message(5, "new"), newline="")

    def stored(**options: object) -> list[str]:
        source = lakehouse.HL7Datasource(new, table=None, key_file=home / "key", **options)
        blocks = [block for task in source.get_read_tasks(1) for block in task()]
        sink = lakehouse.LakehouseDatasink(home / "warehouse")
        sink.on_write_start()
        written = sink.write(blocks, SimpleNamespace(task_idx=0))
        sink.on_write_complete(WriteResult(2, 1, [written]))
        rows = [unpack_block(b) for b in blocks]
        return [
            r
            for pieces in rows
            for batch, _, _ in pieces
            if "patients" in batch.tables
            for r in batch.tables["patients"]["patient_id"].to_pylist()
        ]

    assert gone not in stored(warehouse=home / "warehouse")
    (new / "x.hl7").write_text(message(2, "once more") + message(6, "new"), newline="")
    assert gone in stored(), "a source that knows no warehouse: the sink leaves the patient out"
    assert holding(home, gone) == []
    assert len(rows(home, set())["patients"]) == 3 + 2
    assert lakehouse.verify(home / "warehouse").passed


def test_merged_identities_go_together(home: Path) -> None:
    feed = home / "m"
    feed.mkdir()
    merge = message(4, "merge", kind="ADT^A40", extra="MRG|3^^^GENERAL^MR\r")
    (feed / "x.hl7").write_text(merge, newline="")
    lakehouse.ingest(feed, home / "warehouse", show_progress=False)
    report = lakehouse.forget(home / "warehouse", record_number="3", authority="GENERAL")
    assert report.n_identities == 2 and report.rows["patient_links"] == 1
    assert holding(home, patient(home, 3)) == holding(home, patient(home, 4)) == []
    assert len(rows(home, set())["patients"]) == 3


def test_an_unknown_patient_and_a_missing_name_are_said(home: Path) -> None:
    with pytest.raises(UserError, match="holds no such patient"):
        lakehouse.forget(home / "warehouse", record_number="99", authority="GENERAL")
    with pytest.raises(UserError, match="Name the patient once"):
        lakehouse.forget(home / "warehouse")


def killed(home: Path, gone: str, point: str) -> None:
    """Run an erasure in a process of its own that is killed at a step."""
    program = (
        f"import lakehouse; lakehouse.forget({str(home / 'warehouse')!r}, patient_id={gone!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, env=os.environ | {"LAKEHOUSE_CRASH_AT": point}
    )
    assert done.returncode == -signal.SIGKILL


POINTS = ["forget-tombstone", "forget-planned", "forget-erased", "forget-noted"]


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_erasure_is_completed_by_the_same_command(home: Path, point: str) -> None:
    gone = patient(home, 2)
    before = rows(home, {gone})
    killed(home, gone, point)
    report = lakehouse.forget(home / "warehouse", patient_id=gone)
    assert report.rows["records"] == 2 and report.resumed == (point != "forget-tombstone")
    assert holding(home, gone) == []
    assert rows(home, set()) == before
    assert lakehouse.verify(home / "warehouse").passed


@pytest.mark.slow
def test_another_erasure_completes_a_killed_one_and_then_does_its_own(home: Path) -> None:
    one, other = patient(home, 2), patient(home, 1)
    before = rows(home, {one, other})
    killed(home, one, "forget-planned")
    report = lakehouse.forget(home / "warehouse", patient_id=other)
    assert report.resumed and report.n_identities == 1 and report.rows["patients"] == 1
    assert holding(home, one) == holding(home, other) == []
    assert rows(home, set()) == before
    assert lakehouse.verify(home / "warehouse").passed


def test_a_refused_erasure_leaves_nothing_behind(home: Path) -> None:
    gone = patient(home, 2)
    with Warehouse.open(home / "warehouse") as warehouse:
        before = {e.location for e in warehouse.files.list(warehouse.path)}
        with (
            IngestTransaction(warehouse, "running"),
            pytest.raises(CommitError, match="is running"),
        ):
            lakehouse.forget(home / "warehouse", patient_id=gone)
        assert {e.location for e in warehouse.files.list(warehouse.path)} == before
    lakehouse.forget(home / "warehouse", patient_id=patient(home, 1))
    assert holding(home, gone), "the one named now is not the one refused then"


@pytest.mark.parametrize("unseen", [False, True], ids=["refused", "begun between the two looks"])
def test_what_an_ingest_stores_meanwhile_is_counted_and_erased(
    home: Path, monkeypatch: pytest.MonkeyPatch, unseen: bool
) -> None:
    """An ingest read the tombstones before they were set, so it stores the patient once more."""
    feed = home / "late"
    feed.mkdir()
    (feed / "x.hl7").write_text(message(2, "late") + message(5, "other"), newline="")
    module = import_module("lakehouse.pipeline.ingest")
    read = module.read_tombstones

    def meanwhile(warehouse: Warehouse) -> frozenset[str]:
        found: frozenset[str] = read(warehouse)
        if unseen:
            forget = import_module("lakehouse.pipeline.erasure")
            monkeypatch.setattr(forget, "require_idle", lambda _: None)
        with pytest.raises(CommitError, match="is running"):
            lakehouse.forget(home / "warehouse", record_number="2", authority="GENERAL")
        return found

    monkeypatch.setattr(module, "read_tombstones", meanwhile)
    stored = lakehouse.ingest(feed, home / "warehouse", engine="local", show_progress=False)
    monkeypatch.undo()
    monkeypatch.setenv("LAKEHOUSE_KEY_FILE", str(home / "key"))
    assert stored.rows["patients"] == 2
    report = lakehouse.forget(home / "warehouse", record_number="2", authority="GENERAL")
    assert report.rows["patients"] == 3
    assert holding(home, patient(home, 2)) == []
    assert lakehouse.verify(home / "warehouse").passed


def test_what_was_rejected_of_a_patient_goes_too(home: Path) -> None:
    """Rows of ``rejects`` name no patient; they go by the record that they are about."""
    feed = home / "bad"
    feed.mkdir()
    text = "".join(message(n, f"bad{n}").replace(f"||{n}|mg", "||abc|mg") for n in (2, 5))
    (feed / "x.hl7").write_text(text, newline="")
    lakehouse.ingest(feed, home / "warehouse", show_progress=False)

    def ordinals() -> set[int]:
        with lakehouse.open(home / "warehouse") as lake:
            return {r[0] for r in lake.sql("SELECT record_ordinal FROM rejects").fetchall()}

    assert ordinals() == {0, 1}
    lakehouse.forget(home / "warehouse", record_number="2", authority="GENERAL")
    assert ordinals() == {1}
    assert lakehouse.verify(home / "warehouse").passed

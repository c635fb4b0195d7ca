"""Erasure: gone from every table, snapshot and file; others unchanged; never comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lakehouse
from lakehouse.errors import UserError
from lakehouse.privacy.identity import pseudonym
from lakehouse.privacy.keys import Secret
from lakehouse.storage.inspection import contents
from lakehouse.storage.warehouse import Warehouse
from lakehouse.tables import load_tables
from lakehouse.verify.decode import decoded


def message(number: int, control: str, kind: str = "ORU^R01", extra: str = "") -> str:
    return (
        f"MSH|^~\\&|LAB|HOSP|A|B|20240102030405||{kind}|{control}|P|2.5\r"
        f"PID|1||{number}^^^GENERAL^MR||DOE^J||19500601|F\r{extra}"
        f"PV1|1|I|WARD||||||||||||||||V{number}\r"
        f"OBR|1|P{number}|F{number}|A^a^L|||20240101\r"
        f"OBX|1|NM|2345-7^Glucose^LN||{number}|mg/dL|||||F|||20240101\r"
    )


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
            for name, data in contents(warehouse)
            if text in name or any(text.encode() in piece for _, piece in decoded(data))
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


def test_merged_identities_go_together(home: Path) -> None:
    feed = home / "m"
    feed.mkdir()
    merge = message(4, "merge", "ADT^A40", "MRG|3^^^GENERAL^MR\r")
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


@pytest.mark.parametrize("point", ["forget-planned", "forget-tombstone", "forget-erased"])
def test_a_killed_erasure_is_completed_by_the_same_command(home: Path, point: str) -> None:
    gone = patient(home, 2)
    before = rows(home, {gone})
    program = (
        f"import lakehouse; lakehouse.forget({str(home / 'warehouse')!r}, patient_id={gone!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, env=os.environ | {"LAKEHOUSE_CRASH_AT": point}
    )
    assert done.returncode == -signal.SIGKILL
    lakehouse.forget(home / "warehouse", patient_id=gone)
    assert holding(home, gone) == []
    assert rows(home, set()) == before
    assert lakehouse.verify(home / "warehouse").passed

"""A site's own mapping folder: a Z-segment becomes a table, each column with its PHI class."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakehouse
from lakehouse.definitions.tables import read_site_tables
from lakehouse.errors import DefinitionError

MAPPING = """
table   = "bed_movements"
segment = "ZBE"
within  = ["EVN", "PID"]

[columns]
patient_id  = "PID-3"
movement_id = "ZBE-1"
moved_at    = "ZBE-2"
nurse       = "ZBE-8.1"
action      = "ZBE-4"

[definition]
doc   = "One movement between beds (ZBE of the French and German ADT profiles)."
grain = ["record_id", "ordinal"]
sort  = ["patient_id", "moved_at"]

[definition.columns]
record_id   = { type = "string",    phi = "none",                doc = "Source record." }
ordinal     = { type = "int32",     phi = "none",                doc = "Position in the record." }
patient_id  = { type = "string",    phi = "patient",             doc = "Pseudonym of the patient." }
movement_id = { type = "string",    phi = "identifier.movement", doc = "Its number." }
moved_at    = { type = "timestamp", phi = "date",                doc = "When." }
nurse       = { type = "string",    phi = "name",                doc = "Never stored." }
action      = { type = "string",    phi = "code",                doc = "INSERT, UPDATE, CANCEL." }
"""

MESSAGE = (
    "MSH|^~\\&|A|H|B|C|20240102030405||ADT^A02|1|P|2.5\r"
    "EVN|A02|20240102\rPID|1||42^^^H^MR||DOE^JANE||19500601|F\r"
    "PV1|1|I\rZBE|MOV77^H|20240102||UPDATE||||NURSEJOY\r"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "mappings"
    found.mkdir()
    (found / "zbe.toml").write_text(MAPPING)
    return found


def test_a_z_segment_becomes_a_table_that_other_sessions_see(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("lakehouse.definitions.tables._SITE", {})
    (tmp_path / "a.hl7").write_text(MESSAGE)
    home = tmp_path / "warehouse"
    lakehouse.init(home)
    report = lakehouse.ingest(tmp_path / "a.hl7", home, mappings=[str(folder)])
    assert report.rows["bed_movements"] == 1
    monkeypatch.setattr("lakehouse.definitions.tables._SITE", {})  # as a new process begins
    with lakehouse.open(home) as lake:
        ((movement, action, nurse, moved),) = lake.sql(
            "SELECT movement_id, action, nurse, moved_at FROM bed_movements"
        ).fetchall()
    assert len(movement) == 32 and action == "UPDATE" and nurse is None
    assert moved.year > 2100


def test_a_definition_without_phi_class_does_not_load(folder: Path) -> None:
    text = MAPPING.replace('phi = "name",                ', "")
    (folder / "zbe.toml").write_text(text)
    with pytest.raises(DefinitionError, match="nurse: `phi` is missing"):
        read_site_tables([folder])


def test_a_shipped_name_is_refused(folder: Path) -> None:
    (folder / "zbe.toml").write_text(MAPPING.replace("bed_movements", "patients"))
    with pytest.raises(DefinitionError, match="a name of its own"):
        read_site_tables([folder])


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="does not exist"):
        read_site_tables([tmp_path / "nowhere"])

"""Tables and exported copies follow one policy: each column's class fits Table E.1-1."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from lakehouse.batch import BIRTH_DATE, Source
from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import load_tables
from lakehouse.export.profile import Options, action
from lakehouse.formats.dicom import FORMAT
from lakehouse.formats.dicom.mapping import Key, last_tag, load_mappings
from lakehouse.formats.mapping.mapping_file import ColumnMapping
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy

COLUMNS = [(m.table.name, c) for m in load_mappings() for c in m.columns if c.column != BIRTH_DATE]

# Keeps what the Retain Patient Characteristics option keeps, as 164.514(b) allows.
OPTIONS = Options(patient_characteristics=True)

SAFE = {
    "K": {"none", "code", "age", "identifier.*", "uid", "facility", "text"},
    "C": {"date", "text", "identifier.*", "none"},
    "U": {"uid"},
    "X": {"text", "name", "identifier.*", "facility", "birth_date", "patient"},
    "Z": {"text", "name", "identifier.*", "facility", "birth_date", "patient"},
    "D": {"text", "name", "identifier.*", "facility", "patient"},
}
"""Classes that do to a column no less than the table does to its attribute."""

HARMLESS = {
    "series_description_length": "a number of characters",
    "contrast": "whether there is a value",
    "study_hour": "an hour of the day",
    "acquired_hour": "an hour of the day",
    "recorded_hour": "an hour of the day",
    "ethnicity": "one of three codes",
}


@pytest.mark.parametrize(("table", "mapping"), COLUMNS, ids=[f"{t}.{c.column}" for t, c in COLUMNS])
def test_a_column_does_no_less_than_table_e11(table: str, mapping: ColumnMapping[Key]) -> None:
    column = mapping.column
    phi = load_tables()[table].columns[column].phi
    family = "identifier.*" if phi.startswith("identifier.") else phi
    for path in mapping.paths:
        tag = last_tag(path)
        letter = action(tag, OPTIONS)
        if letter is None or column in HARMLESS:
            continue
        assert family in SAFE[letter], f"{tag:08X} is {letter}, the column {phi}"


def test_free_text_is_stored_under_no_profile() -> None:
    for profile in ("safe_harbor", "limited"):
        assert load_policy(profile).action("text") == "drop"


def test_every_feed_names_a_column_and_every_column_of_instances_is_fed() -> None:
    spec = tomllib.loads((resource("catalog/dicom") / "imaging_instances.toml").read_text())
    made = {"record_id", "ordinal", "file_size"}
    assert set(spec["columns"]) - {BIRTH_DATE} | made == set(
        load_tables()["imaging_instances"].columns
    )


@pytest.mark.parametrize(
    ("values", "age", "year"),
    [
        ({"PatientAge": "093Y"}, 90, False),
        ({"PatientAge": "045Y"}, 45, False),
        ({"PatientBirthDate": "19200101"}, 90, False),
        ({"PatientBirthDate": "19700101", "PatientAge": "999Y"}, 54, True),
        ({"PatientBirthDate": "19700101", "StudyDate": ""}, None, True),
    ],
)
def test_ages_are_those_of_the_birth_date_else_as_stated(
    values: dict[str, str], age: int | None, year: bool, tmp_path: Path
) -> None:
    ds = Dataset()
    ds.PatientID, ds.Modality, ds.StudyDate = "P", "CT", "20240115"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    stream = io.BytesIO()
    ds.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
    stream.seek(0)
    (batch,) = FORMAT.parse(stream, Source("0" * 32))
    secret = Secret.create(tmp_path / "key")
    clean = Deidentifier(load_policy("safe_harbor"), secret)(batch)
    assert clean.tables["imaging_instances"]["age_years"].to_pylist() == [age]
    (patient,) = clean.tables["patients"].to_pylist()
    assert patient["age_years"] == age
    assert (patient["birth_year"] is not None) is year
    assert patient["birth_date"] is None

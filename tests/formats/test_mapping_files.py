"""Mapping files: what every format may write, and what is said of a file at fault."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest
from pydicom.dataset import Dataset

from lakehouse.batch import RawBatch, Source
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError
from lakehouse.formats.dicom import FORMAT
from lakehouse.formats.dicom.mapping import GRAMMAR as DICOM
from lakehouse.formats.hl7v2.mapping import GRAMMAR as HL7
from lakehouse.formats.mapping.build import build_coded, build_column
from lakehouse.formats.mapping.mapping_file import (
    ColumnMapping,
    Conversion,
    Grammar,
    mapping_files,
    read_mapping,
)

ROWS: dict[str, list[str | None]] = {
    "a": ["1", None, "3", None],
    "b": ["10", "20", None, None],
    "kind": ["x", "y", None, "x"],
    "full": ["1", "1", "1", "1"],
}


class Rows:
    """A reader of rows of ours, whose paths are the names of their columns."""

    n_rows = 4

    def __init__(self) -> None:
        self.asked: list[str] = []

    def value(self, path: str, conversion: Conversion, found: pa.Array | None) -> pa.Array | None:
        self.asked.append(path)
        if path not in ROWS:
            return None
        if conversion.kind == "number":
            return pa.array([v and float(v) for v in ROWS[path]], pa.float64())
        if conversion.kind.startswith("coding."):
            return pa.array([f"{conversion.kind}={v}" for v in ROWS[path]])
        return pa.array(ROWS[path], pa.string())


GRAMMAR: Grammar[str] = Grammar("rows", str.strip, lambda column, path, options: "text")


def mapping(folder: Path, text: str, table: str = "observations") -> ColumnMapping[str]:
    """Return the first column that a file maps."""
    file = folder / "file.toml"
    file.write_text(f'table = "{table}"\n{text}')
    return read_mapping(file, load_tables(), GRAMMAR).columns[0]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('unit = "a | b"', ["1", "20", "3", None]),
        ('unit = "none | b"', ["10", "20", None, None]),
        ('unit = { from = "a", when = "kind in x z" }', ["1", None, None, None]),
        ('unit = { from = "b", when = "kind not in x" }', [None, "20", None, None]),
        ('unit = { from = "b", when = "none in x" }', [None] * 4),
        ('unit = { value = "mg" }', ["mg"] * 4),
        ('unit = { value = "mg", when = "kind in y" }', [None, "mg", None, None]),
        ('unit = { from = "a", else = "?" }', ["1", "?", "3", "?"]),
        ('unit = { from = "none", else = "?" }', ["?"] * 4),
    ],
)
def test_alternatives_conditions_constants_and_defaults(
    tmp_path: Path, text: str, values: list[str | None]
) -> None:
    column = build_column(mapping(tmp_path, f"[columns]\n{text}"), Rows())
    assert column is not None and column.to_pylist() == values


def test_an_alternative_in_another_unit_is_scaled(tmp_path: Path) -> None:
    grammar: Grammar[str] = Grammar("rows", str.strip, lambda column, path, options: "number")
    file = tmp_path / "file.toml"
    file.write_text('table = "observations"\n[columns]\nvalue_number = "a | b * 0.5"')
    (entry,) = read_mapping(file, load_tables(), grammar).columns
    column = build_column(entry, Rows())
    assert column is not None and column.to_pylist() == [1.0, 10.0, 3.0, None]


def test_a_column_that_is_full_asks_no_further_alternative(tmp_path: Path) -> None:
    reader = Rows()
    build_column(mapping(tmp_path, '[columns]\nunit = "full | a"'), reader)
    assert reader.asked == ["full"]


def test_a_place_that_no_row_can_have_makes_no_column(tmp_path: Path) -> None:
    assert build_column(mapping(tmp_path, '[columns]\nunit = "none"'), Rows()) is None


def test_a_coded_element_fills_the_columns_that_the_table_has(tmp_path: Path) -> None:
    table = load_tables()["observations"]
    code = build_coded(mapping(tmp_path, '[coded]\ncode = "kind"'), table, Rows())
    assert {"code", "code_system", "code_display", "alt_code", "alt_code_system"} == set(code)
    assert code["alt_code_system"].to_pylist()[0] == "coding.alt_system=x"
    panel = build_coded(mapping(tmp_path, '[coded]\npanel_code = "kind"'), table, Rows())
    assert "panel_code" in panel and not any(name.startswith("alt") for name in panel)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[columns]\nunits = "a"', "no column units. Did you mean unit?"),
        ('[columns]\nunit = { form = "a" }', "unit: unknown key form. Did you mean from?"),
        ('[columns]\nunit = { from = "a", codes = "hl7_0002x" }', "no code set hl7_0002x"),
        ('[columns]\nunit = { else = "a" }', "unit: one of from, value is needed"),
        ('[columns]\nunit = { from = "a", as = "number" }', "unit: unknown kind number"),
        ('[columns]\nunit = "a * b"', "'b' is not a factor"),
        ('[columns]\nunit = { from = "a", when = "b is c" }', "'b is c' is not a condition"),
    ],
)
def test_a_fault_is_told_with_file_and_column(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        mapping(tmp_path, text)
    assert "/file.toml" in str(caught.value) and says in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ('modality = "Modalty"', "Modalty is no attribute of the DICOM standard."),
        ('study_at = "StudyDate"', "`from` gives no time."),
        ('contrast = "ContrastBolusAgent"', "`from` gives no bool."),
        ('modality = { form = "Modality" }', "unknown key form"),
    ],
)
def test_a_fault_in_a_dicom_file(tmp_path: Path, spec: str, says: str) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(f'table = "imaging_instances"\n[columns]\n{spec}')
    with pytest.raises(DefinitionError) as caught:
        read_mapping(file, load_tables(), DICOM)
    assert "ours.toml, " in str(caught.value) and says in str(caught.value)


SITE = """
format = "dicom"
table  = "coils"

[columns]
patient_id = { patient = true }
coil       = { id = "ReceiveCoilName" }
used_at    = { date = "StudyDate", time = "StudyTime" }
wedge_mm   = "SliceThickness * 1000"

[definition]
doc   = "One receive coil that an instance names."
grain = ["record_id", "ordinal"]

[definition.columns]
record_id  = { type = "string",    phi = "none",              doc = "Source record." }
ordinal    = { type = "int32",     phi = "none",              doc = "Position in the record." }
patient_id = { type = "string",    phi = "patient",           doc = "Pseudonym of the patient." }
coil       = { type = "string",    phi = "identifier.device", doc = "Its name." }
used_at    = { type = "timestamp", phi = "date",              doc = "When." }
wedge_mm   = { type = "double",    phi = "none",              doc = "In thousandths." }
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("lakehouse.definitions.tables._SITE", {})
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "coils.toml").write_text(SITE)
    return folder


def read(site: Path) -> RawBatch:
    dataset = Dataset()
    dataset.PatientID, dataset.Modality, dataset.StudyDate = "P1", "MR", "20240115"
    dataset.ReceiveCoilName, dataset.SliceThickness = "HEAD 32", "2.5"
    stream = io.BytesIO()
    dataset.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
    stream.seek(0)
    source = Source("0" * 32, authority="HOSP", mappings=(str(site),))
    (batch,) = FORMAT.parse(stream, source)
    return batch


def test_a_site_maps_attributes_that_nobody_else_reads(site: Path) -> None:
    (row,) = read(site).tables["coils"].to_pylist()
    assert (row["patient_id"], row["coil"]) == ("HOSP\x1fP1", "\x1fHEAD 32")
    assert (row["used_at"].isoformat()[:10], row["wedge_mm"]) == ("2024-01-15", 2500.0)


def test_a_file_of_a_site_is_read_by_the_format_that_it_names(site: Path) -> None:
    assert site / "coils.toml" in mapping_files(DICOM.name, (str(site),))
    assert site / "coils.toml" not in mapping_files(HL7.name, (str(site),))


def test_a_format_without_mapping_files_is_said(site: Path) -> None:
    (site / "coils.toml").write_text(SITE.replace('"dicom"', '"dcom"'))
    with pytest.raises(DefinitionError, match=r"no format named dcom .* Did you mean dicom\?"):
        mapping_files(HL7.name, (str(site),))

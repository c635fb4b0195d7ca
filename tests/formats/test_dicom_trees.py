"""Structured reports, dose reports and radiotherapy, against pydicom over the sample objects."""

from __future__ import annotations

import datetime as dt
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from lakehouse.batch import RawBatch, Source
from lakehouse.formats.dicom import FORMAT
from lakehouse.formats.dicom.content.dose import convert_unit
from lakehouse.formats.dicom.vocabulary.concepts import is_public
from lakehouse.synth.writers.dicom.dose import DOSE_REPORT, content
from lakehouse.synth.writers.dicom.encode import part10


def read(path: Path) -> tuple[RawBatch, Dataset]:
    with path.open("rb") as stream:
        (batch,) = FORMAT.parse(stream, Source("0" * 32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return batch, pydicom.dcmread(path, stop_before_pixels=True, force=True)


def samples(shared_data: Path, keyword: str) -> list[Path]:
    """Return the sample objects that have an attribute."""
    found = []
    for path in sorted((shared_data / "dicom").rglob("*")):
        if path.is_file() and FORMAT.sniff(path.read_bytes()[:4096]) and path.suffix != ".json":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    if keyword in pydicom.dcmread(path, stop_before_pixels=True, force=True):
                        found.append(path)
                except Exception:
                    continue
    return found


def walk(item: Dataset, position: str = "1") -> Iterator[tuple[str, Dataset]]:
    yield position, item
    for n, child in enumerate(item.get("ContentSequence", None) or [], 1):
        yield from walk(child, f"{position}.{n}")


def code(item: Dataset, keyword: str) -> str | None:
    """Return the code as pydicom has it, where its scheme is a public one."""
    found = item.get(keyword)
    value = str(found[0].get("CodeValue", "")) if found else ""
    designator = str(found[0].get("CodingSchemeDesignator", "")) if found else ""
    return value if value and is_public(designator, value) else None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_content_item_is_a_row(shared_data: Path) -> None:
    paths = samples(shared_data, "ContentSequence")
    assert len(paths) >= 4
    for path in paths:
        batch, ds = read(path)
        rows = batch.tables["imaging_reports"].to_pylist()
        items = list(walk(ds))
        assert [r["position"] for r in rows] == [position for position, _ in items]
        for row, (_, item) in zip(rows, items, strict=True):
            assert row["value_type"] == item.get("ValueType")
            assert row["relationship"] == item.get("RelationshipType")
            assert row["concept_code"] == code(item, "ConceptNameCodeSequence")
            if item.get("ValueType") == "CODE":
                assert row["value_code"] == code(item, "ConceptCodeSequence")
            if item.get("ValueType") == "NUM":
                measured = item.MeasuredValueSequence[0]
                assert row["value_number"] == float(measured.NumericValue)
                assert row["unit"] == code(measured, "MeasurementUnitsCodeSequence")
            if item.get("ValueType") == "UIDREF":
                assert row["value_uid"] == item.UID
            if item.get("ValueType") == "PNAME":
                assert "value_text" not in row or row["value_text"] is None
            if row["parent_ordinal"] is not None:
                assert row["position"].startswith(rows[row["parent_ordinal"]]["position"] + ".")
        (document,) = batch.tables["documents"].to_pylist()
        assert document["n_sections"] == len(items)
        assert document["code"] == code(ds, "ConceptNameCodeSequence")


def test_radiotherapy_equals_pydicom(shared_data: Path) -> None:
    plans = samples(shared_data, "FractionGroupSequence")
    seen = 0
    for path in plans:
        batch, ds = read(path)
        if "rt_plans" not in batch.tables:
            continue  # a truncated plan is a reject
        rows = batch.tables["rt_plans"].to_pylist()
        beams = [*(ds.get("BeamSequence") or []), *(ds.get("IonBeamSequence") or [])]
        assert [r["beam_number"] for r in rows] == [int(b.BeamNumber) for b in beams]
        for row, beam in zip(rows, beams, strict=True):
            assert row["beam_type"] == beam.BeamType
            assert row["radiation_type"] == beam.RadiationType
            assert row["n_control_points"] == int(beam.NumberOfControlPoints)
            assert row["machine_id"] == f"\x1f{beam.TreatmentMachineName}"
            assert row["n_beams"] == len(beams)
            seen += 1
    assert seen >= 1


def test_structures_and_doses_equal_pydicom(shared_data: Path) -> None:
    for path in samples(shared_data, "StructureSetROISequence"):
        batch, ds = read(path)
        rows = batch.tables["rt_structures"].to_pylist()
        assert [r["roi_number"] for r in rows] == [
            int(r.ROINumber) for r in ds.StructureSetROISequence
        ]
        drawn = {
            int(c.ReferencedROINumber): list(c.get("ContourSequence") or [])
            for c in ds.get("ROIContourSequence") or []
        }
        for row in rows:
            contours = drawn.get(row["roi_number"], [])
            assert row["n_contours"] == len(contours)
            assert row["n_points"] == sum(int(c.NumberOfContourPoints) for c in contours)
    doses = samples(shared_data, "DoseGridScaling")
    assert len(doses) >= 5
    for path in doses:
        batch, ds = read(path)
        for row in batch.tables["rt_doses"].to_pylist():
            assert row["grid_scaling"] == float(ds.DoseGridScaling)
            assert row["dose_units"] == ds.DoseUnits
            assert row["rows"] == ds.Rows


def dose_report() -> bytes:
    """Return a CT dose report of two events."""
    events = [("1.2.3.1", "CHEST ROUTINE", 8.5, 300.0, 120.0), ("1.2.3.2", "CHEST", 4.0, 90.5, 100)]
    elements: dict[int, tuple[str, Any]] = {
        0x00080016: ("UI", DOSE_REPORT),
        0x00080018: ("UI", "1.2.3.9"),
        0x00080023: ("DA", "20240110"),
        0x00080033: ("TM", "120000"),
        0x00080050: ("SH", "A1"),
        0x00080060: ("CS", "SR"),
        0x00081010: ("SH", "CT1"),
        0x00100020: ("LO", "P1"),
        0x00100030: ("DA", "19600101"),
        0x0020000D: ("UI", "1.2.3"),
        0x0020000E: ("UI", "1.2.4"),
    }
    return part10(DOSE_REPORT, "1.2.3.9", elements | content(events, ("T-D3000", "Chest")), "CT1")


def test_a_dose_report_gives_events_and_totals() -> None:
    (batch,) = FORMAT.parse(io.BytesIO(dose_report()), Source("0" * 32, authority="HOSP"))
    rows = batch.tables["radiation_events"].to_pylist()
    assert [(r["scope"], r["kind"]) for r in rows] == [
        ("total", "ct"),
        ("event", "ct"),
        ("event", "ct"),
    ]
    total, first, second = rows
    assert (total["dlp_mgycm"], total["n_events"]) == (390.5, 2)
    assert (first["mean_ctdivol_mgy"], first["dlp_mgycm"], first["kvp"]) == (8.5, 300.0, 120.0)
    assert first["event_uid"] == "1.2.3.1"
    assert first["target_region_code"] == "T-D3000"
    assert first["protocol_id"] == "\x1fCHEST ROUTINE"
    assert first["phantom_code"] == "113691"
    assert first["device_id"] == "\x1fCT1"
    assert second["patient_id"] == "HOSP\x1fP1"
    assert second["accession_id"] == "\x1fA1"
    assert second["stated_at"] == dt.datetime(2024, 1, 10, 12, tzinfo=dt.UTC)
    assert second["_birth_date"] == dt.date(1960, 1, 1)


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "result"),
    [
        (2.0, "Gy", "mGy", 2000.0),
        (250.0, "mGy.cm2", "Gy.m2", 2.5e-05),
        (37.0, "MBq", "MBq", 37.0),
        (1.5, "min", "s", 90.0),
        (1.0, "furlong", "mm", None),
        (0.5, "Gym2", "Gy.m2", 0.5),
        (2.5, "dGycm2", "Gy.m2", 2.5e-05),
        (2.5, "dGy*cm2", "Gy.m2", 2.5e-05),
        (7.0, "uGym2", "Gy.m2", 7e-06),
        (7.0, "\N{MICRO SIGN}Gy\N{MIDDLE DOT}m\N{SUPERSCRIPT TWO}", "Gy.m2", 7e-06),
        (300.0, "mGycm", "mGy.cm", 300.0),
        (2.0, "sec", "s", 2.0),
        (None, "mGy", "mGy", None),
        (1.2, "anything", "", 1.2),
    ],
)
def test_units_of_dose(value: Any, unit: str, wanted: str, result: Any) -> None:
    assert convert_unit(value, unit, wanted) == result


def coded(value: str, designator: str = "DCM", text: str = "x") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, designator, text
    return [item]


def number(concept: str, value: float, unit: str) -> Dataset:
    item, measured = Dataset(), Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "NUM"
    item.ConceptNameCodeSequence = coded(concept)
    measured.MeasurementUnitsCodeSequence = coded(unit, "UCUM")
    measured.NumericValue = str(value)
    item.MeasuredValueSequence = [measured]
    return item


def container(concept: str, items: list[Dataset]) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "CONTAINER"
    item.ConceptNameCodeSequence, item.ContentSequence = coded(concept), items
    return item


def rows_of_report(items: list[Dataset], table: str) -> list[dict[str, Any]]:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality, ds.PatientID = DOSE_REPORT, "1.2.3", "SR", "P"
    ds.ValueType, ds.ConceptNameCodeSequence = "CONTAINER", coded("113701")
    ds.ContentSequence = items
    out = io.BytesIO()
    ds.save_as(out, implicit_vr=False, little_endian=True, enforce_file_format=False)
    (batch,) = FORMAT.parse(io.BytesIO(out.getvalue()), Source("0" * 32))
    return list(batch.tables[table].to_pylist())


def test_mammography_is_told_by_its_glandular_dose_and_frames_are_no_events() -> None:
    found = rows_of_report(
        [
            container("113706", [number("111631", 1.2, "mGy"), number("113733", 28, "kV")]),
            container("113702", [number("111637", 2.4, "mGy"), number("113731", 17, "1")]),
            container("113706", [number("122130", 0.5, "Gym2"), number("113733", 70, "kV")]),
        ],
        "radiation_events",
    )
    columns = ("scope", "kind", "average_glandular_dose_mgy", "n_events", "dose_area_product_gym2")
    assert [tuple(r.get(c) for c in columns) for r in found] == [
        ("event", "mammography", 1.2, None, None),
        ("total", "mammography", 2.4, None, None),
        ("event", "projection", None, None, 0.5),
    ]


def test_the_text_of_a_public_code_is_ours() -> None:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "CODE"
    item.ConceptNameCodeSequence = coded("121071", "DCM", "CANARY JOHN")
    item.ConceptCodeSequence = coded("T-0FFFF", "SRT", "CANARY JOHN")
    (_, row) = rows_of_report([item], "imaging_reports")
    assert row["concept_display"] == "Finding"
    assert (row["value_code"], row["value_display"]) == ("T-0FFFF", None)

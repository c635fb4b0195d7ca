"""Every typed column equals what pydicom says, over every sample object."""

from __future__ import annotations

import datetime as dt
import math
import tomllib
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from lakehouse.batch import RawBatch, Source
from lakehouse.definitions.resources import resource
from lakehouse.formats.dicom import FORMAT
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.discover import discover

SPEC = tomllib.loads((resource("catalog/dicom") / "imaging_instances.toml").read_text())["columns"]

# What pydicom itself cannot say, with the reason.
BEYOND_PYDICOM = {
    "GH179A.dcm": "blank VR: pydicom takes the rest of the file for the value of one element",
}


NO_CODES: set[tuple[str, Any, Any]] = {
    ("image_type", "DERIVED\\PRIMARY\\EPICARDIAL\\", "DERIVED\\PRIMARY\\EPICARDIAL\\0001"),
    ("manufacturer", None, "QIICR, compressed with Pydicom"),
    ("manufacturer", None, "https://github.com/QIICR/Slicer-SUVFactorCalculator"),
    ("radiopharmaceutical_code", None, "Y-X1743"),  # of no shape that SNOMED RT's codes have
    ("manufacturer", None, "Manufacturer name here"),
    ("manufacturer", None, "MyManufacturer"),
    ("manufacturer", None, "debug"),
    ("model", None, "1094"),
    ("model", None, "MyModel"),
    ("model", None, "Super Dooper Scanner"),
    ("model", None, "Treatment Planning System name here"),
    ("model", None, "git@github.com:QIICR/dcmqi.git"),
    ("model", None, "https://github.com/QIICR/Iowa2DICOM.git"),
    ("model", None, "https://github.com/QIICR/dcmqi.git"),
    ("model", None, "https://github.com/fedorov/dcmqi.git"),
    ("model", None, "https://github.com/qiicr/dcmqi"),
}
"""What stands in columns of codes and could be anything: column, ours, the object's."""


def objects(folder: Path) -> list[Path]:
    """Return the sample files that are DICOM objects."""
    files = sorted(p for p in (folder / "dicom").rglob("*") if p.is_file())
    return [p for p in files if p.suffix != ".json" and FORMAT.sniff(p.read_bytes()[:4096])]


def read(paths: list[Path], **source: Any) -> list[RawBatch]:
    """Read files in one go; their ids are their positions."""

    def streams() -> Any:
        for number, path in enumerate(paths):
            with path.open("rb") as stream:
                size = path.stat().st_size
                yield stream, Source(f"{number:032x}", size=size, **source)

    return list(FORMAT.parse_many(streams()))


def values(ds: Dataset, path: str) -> list[Any]:
    """Return the values at a path, as pydicom reads them; [] when there are none."""
    if path.startswith("Frame."):
        for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            found = values(ds, path.replace("Frame", groups, 1))
            if found:
                return found
        return []
    head, _, rest = path.partition(".")
    if rest:
        items = ds.get(head)
        return values(items[0], rest) if items else []
    element = ds.get(head)
    if element is None and head.startswith(("MediaStorage", "TransferSyntax")):
        element = getattr(ds, "file_meta", Dataset()).get(head)
    found = list(element) if isinstance(element, MultiValue) else [element]
    return [] if all(v is None or str(v).strip(" \0") == "" for v in found) else found


def first(ds: Dataset, paths: str) -> list[Any]:
    """Return the values at the first path that has any, in the unit of the column."""
    for alternative in paths.split("|"):
        path, _, factor = alternative.partition("*")
        if found := values(ds, path.strip()):
            return [float(v) * float(factor) for v in found] if factor else found
    return []


def clean(value: Any) -> str:
    """Return a text without its padding."""
    return str(value).strip(" \0")


def expected(ds: Dataset, spec: Any) -> Any:
    """Return what a column of the mapping must hold by pydicom; a ValueError means null."""
    spec = {"from": spec} if isinstance(spec, str) else spec
    if spec.get("patient"):
        spec = {"id": "PatientID", "issuer": "IssuerOfPatientID"}
    if "id" in spec:
        found = first(ds, spec["id"])
        issuer = first(ds, spec["issuer"]) if "issuer" in spec else []
        return f"{clean(issuer[0]) if issuer else ''}\x1f{clean(found[0])}" if found else None
    if "from" not in spec:
        return moment(ds, spec)
    found = first(ds, spec["from"])
    if not found:
        return None
    if spec.get("present"):
        return True
    if spec.get("length"):
        return len(clean(found[0]))
    if spec.get("join"):
        return "\\".join(clean(v) for v in found)
    part = spec.get("part", 0)
    if part >= len(found):
        return None
    if "values" in spec:
        return spec["values"].get(clean(found[0]))
    return found[part] if not isinstance(found[part], str) else clean(found[part])


def moment(ds: Dataset, spec: dict[str, Any]) -> Any:
    """Return the expected instant, hour, date or age."""
    if "birth" in spec:
        found = first(ds, spec["birth"])
        return pydicom.valuerep.DA(clean(found[0])) if found else None
    if "age" in spec:
        found = first(ds, spec["age"])
        if not found or first(ds, "PatientBirthDate"):
            return None
        months = {"Y": 12, "M": 1, "W": 12 / 52.1775, "D": 12 / 365.2425}[found[0][-1]]
        return int(int(found[0][:-1]) * months / 12 + 1e-9)
    stamps = first(ds, spec["at"]) if "at" in spec else []
    clock = first(ds, spec.get("hour") or spec.get("time") or "")
    if "hour" in spec:
        if clock:
            return pydicom.valuerep.TM(clean(clock[0]).replace(":", "")).hour
        return pydicom.valuerep.DT(clean(stamps[0])).hour if stamps else None
    if stamps:
        found = pydicom.valuerep.DT(clean(stamps[0]))
        when = dt.datetime.fromisoformat(found.isoformat())
    else:
        dates = first(ds, spec["date"]) if "date" in spec else []
        if not dates or (spec.get("needs") and not clock):
            return None
        day = pydicom.valuerep.DA(clean(dates[0]))
        time = pydicom.valuerep.TM(clean(clock[0]).replace(":", "")) if clock else dt.time()
        when = dt.datetime(
            day.year, day.month, day.day, time.hour, time.minute, time.second, time.microsecond
        )
    if when.tzinfo is None:
        offset = first(ds, "TimezoneOffsetFromUTC")
        east = dt.timedelta()
        if offset:
            text = clean(offset[0])
            east = dt.timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
            east = -east if text[0] == "-" else east
        when = (when - east).replace(tzinfo=dt.UTC)
    return when


# The ACR-NEMA form of a time, 10:19:38, which pydicom refuses, is read as what it says.
def same(ours: Any, theirs: Any) -> bool:
    """Return whether two values are equal, numbers by value."""
    if isinstance(ours, (int, float)) and theirs is not None and not isinstance(theirs, str):
        return math.isclose(float(ours), float(theirs), rel_tol=1e-12)
    if ours is None and isinstance(theirs, str):
        return theirs == "1A"  # badVR.dcm: no number in a number's place, warned of
    return ours == theirs or (ours is not None and theirs is not None and str(ours) == str(theirs))


def test_every_object_is_a_row_or_a_reject(shared_data: Path) -> None:
    paths = objects(shared_data)
    assert len(paths) > 280
    batches = read(paths)
    assert len(batches) == 1, "small files share a batch"
    stored = set(batches[0].tables["records"]["file_id"].to_pylist())
    refused = {r.file_id for r in batches[0].rejects if r.level == "record"}
    assert stored | refused == {f"{n:032x}" for n in range(len(paths))}
    assert not stored & refused
    assert all(r.rule and r.message for r in batches[0].rejects)


@pytest.mark.filterwarnings("ignore")
def test_every_typed_column_equals_what_pydicom_says(shared_data: Path) -> None:
    paths = objects(shared_data)
    batch = read(paths)[0]
    table = batch.tables["imaging_instances"]
    files = [paths[int(i, 16)] for i in batch.tables["records"]["file_id"].to_pylist()]
    unreadable = {(r.file_id, r.location) for r in batch.rejects if r.rule == "dicom.value"}
    differences, compared, dropped = [], 0, set()
    rows = table.to_pylist()
    for path, row in zip(files, rows, strict=True):
        if path.name in BEYOND_PYDICOM:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            for column, spec in SPEC.items():
                if isinstance(spec, dict) and "names" in spec:
                    continue  # names are looked up; tested below
                try:
                    theirs = expected(ds, spec)
                except (ValueError, TypeError, OverflowError, NotImplementedError):
                    theirs = None  # pydicom refuses the value: ours is null with a warning
                compared += theirs is not None
                if (column, row[column], theirs) in NO_CODES:
                    dropped.add((column, row[column], theirs))
                elif not same(row[column], theirs):
                    differences.append((path.name, column, row[column], theirs))
    assert compared > 7_000
    assert not differences, sorted({d[1:] for d in differences}, key=str)
    assert len(unreadable) < 5
    assert dropped == NO_CODES
    assert sum(n["dicom.terms"] for n in batch.dropped_by_file.values()) > 0


def test_names_come_from_the_standard(shared_data: Path) -> None:
    batch = read(objects(shared_data))[0]
    rows = batch.tables["imaging_instances"].select(["sop_class", "sop_class_uid"]).to_pylist()
    named = {r["sop_class_uid"]: r["sop_class"] for r in rows if r["sop_class_uid"]}
    for uid, name in named.items():
        known = pydicom.uid.UID(uid)
        if known.is_private:
            assert name is None
        elif known.name != uid:
            assert name is not None
    assert named["1.2.840.10008.5.1.4.1.1.2"] == "CT Image Storage"


def test_one_file_at_a_time_gives_the_same_rows(shared_data: Path) -> None:
    paths = objects(shared_data)[:40]
    together = read(paths)[0]
    alone = [b for number, p in enumerate(paths) for b in read_one(p, f"{number:032x}")]
    for name in ("imaging_instances", "patients", "records"):
        rows = [r for b in alone if name in b.tables for r in b.tables[name].to_pylist()]
        assert rows == together.tables[name].to_pylist()


def read_one(path: Path, file_id: str) -> list[RawBatch]:
    """Read one file by itself."""
    with path.open("rb") as stream:
        return list(FORMAT.parse(stream, Source(file_id, size=path.stat().st_size)))


def test_times_are_read_in_the_zone_of_the_source_unless_the_object_states_one(
    tmp_path: Path,
) -> None:
    ds = Dataset()
    ds.PatientID, ds.Modality, ds.StudyDate, ds.StudyTime = "P", "CT", "20240115", "103000"
    ds.save_as(tmp_path / "a", implicit_vr=False, little_endian=True, enforce_file_format=False)
    ds.TimezoneOffsetFromUTC = "+0530"
    ds.save_as(tmp_path / "b", implicit_vr=False, little_endian=True, enforce_file_format=False)
    batch = read([tmp_path / "a", tmp_path / "b"], time_zone="America/New_York")[0]
    found = batch.tables["imaging_instances"]["study_at"].to_pylist()
    assert found[0] == dt.datetime(2024, 1, 15, 15, 30, tzinfo=dt.UTC)
    assert found[1] == dt.datetime(2024, 1, 15, 5, 0, tzinfo=dt.UTC)
    assert batch.tables["imaging_instances"]["study_hour"].to_pylist() == [10, 10]


def test_the_patient_is_named_by_the_issuer_or_else_by_the_ingest(tmp_path: Path) -> None:
    ds = Dataset()
    ds.PatientID, ds.Modality = "0012", "CT"
    ds.save_as(tmp_path / "a", implicit_vr=False, little_endian=True, enforce_file_format=False)
    ds.IssuerOfPatientID = "OTHER"
    ds.save_as(tmp_path / "b", implicit_vr=False, little_endian=True, enforce_file_format=False)
    batch = read([tmp_path / "a", tmp_path / "b"], authority="HOSP")[0]
    assert batch.tables["patients"]["patient_id"].to_pylist() == ["HOSP\x1f0012", "OTHER\x1f0012"]


def test_a_dicomdir_is_followed_and_not_stored(shared_data: Path, tmp_path: Path) -> None:
    secret = Secret.create(tmp_path / "key")
    for name in ("TINY_ALPHA", "dicomdirtests"):
        folder = next(p for p in (shared_data / "dicom").rglob(name) if p.is_dir())
        index = folder / "DICOMDIR"
        named = {f.location for f in discover(index, secret).files}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(index)
        listed = {
            folder.joinpath(*[str(p) for p in record.ReferencedFileID])
            for record in ds.DirectoryRecordSequence
            if "ReferencedFileID" in record
        }
        there = {str(p) for p in listed if p.is_file()}
        assert there
        assert named == there | {str(index)}
        batch = read([index])[0]
        assert [r.rule for r in batch.rejects] == ["dicom.directory"]
        assert not batch.tables


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_dicomdir_leads_nowhere_above_itself(tmp_path: Path) -> None:
    secret = Secret.create(tmp_path / "key")
    (tmp_path / "secret").write_bytes(b"not to be read")
    (tmp_path / "disk").mkdir()
    ds, record = Dataset(), Dataset()
    record.ReferencedFileID = ["..", "secret"]
    ds.DirectoryRecordSequence = [record]
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.save_as(tmp_path / "disk" / "DICOMDIR", enforce_file_format=True)
    (only,) = discover(tmp_path / "disk" / "DICOMDIR", secret).files
    assert only.location.endswith("DICOMDIR")


def test_an_object_is_the_same_file_in_an_archive(shared_data: Path, tmp_path: Path) -> None:
    secret = Secret.create(tmp_path / "key")
    paths = objects(shared_data)[:30]
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, path in enumerate(paths):
            archive.write(path, f"{number:03d}")
    packed = discover(tmp_path / "all.zip", secret).files
    plain = [f for p in paths if p.name != "DICOMDIR" for f in discover(p, secret).files]
    assert {f.file_id for f in plain} <= {f.file_id for f in packed}


@pytest.mark.parametrize(
    ("character_set", "text"),
    [
        ("ISO_IR 100", "Schädel à jeun"),
        ("ISO_IR 101", "Głowa łokieć"),
        ("ISO_IR 126", "Θώρακας"),
        ("ISO_IR 127", "الصدر"),
        ("ISO_IR 138", "חזה"),
        ("ISO_IR 144", "Грудная клетка"),
        ("ISO_IR 192", "胸部 Brust 가슴"),
        ("GB18030", "胸部平扫"),
        ("ISO_IR 13", "ﾑﾈ"),
        (["", "ISO 2022 IR 87"], "胸部 CT"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾑﾈ 胸部"),
        (["", "ISO 2022 IR 149"], "가슴 CT"),
        (None, "Chest"),
    ],
    ids=str,
)
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_text_is_read_in_its_character_set(
    character_set: Any, text: str, implicit: bool, tmp_path: Path
) -> None:
    ds, item = Dataset(), Dataset()
    if character_set is not None:
        ds.SpecificCharacterSet = character_set
    ds.Modality, ds.PatientID, ds.SeriesDescription = "CT", "P", text
    item.AccessionNumber = "A1"
    ds.RequestAttributesSequence = [item]
    ds.save_as(tmp_path / "a", implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    (row,) = read([tmp_path / "a"])[0].tables["imaging_instances"].to_pylist()
    assert row["series_description"] == text
    assert row["series_description_length"] == len(text)
    assert row["accession_id"] == "\x1fA1"


def test_simplified_chinese_by_escape_sequence(tmp_path: Path) -> None:
    """PS3.5 annex K: GB 2312 is designated to G1 by ESC $ ) A."""
    ds = Dataset()
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 58"]
    ds.Modality, ds.PatientID = "CT", "P"
    stored = b"\x1b$)A" + "胸部".encode("gb2312") + b" CT"
    ds.add(DataElement(0x0008103E, "LO", stored + b" " * (len(stored) % 2)))
    ds.save_as(tmp_path / "a", implicit_vr=False, little_endian=True, enforce_file_format=False)
    (row,) = read([tmp_path / "a"])[0].tables["imaging_instances"].to_pylist()
    assert row["series_description"] == "胸部 CT"


def test_codes_that_are_none_are_dropped_and_counted(tmp_path: Path) -> None:
    ds = Dataset()
    ds.PatientID, ds.Modality, ds.BodyPartExamined = "P", "CT", "CANARY JOHN"
    ds.Manufacturer, ds.ManufacturerModelName = "CANARY^JOHN SMITH 19581231", "CANARY MRN 123456"
    ds.ConvolutionKernel, ds.ImageType = "CANARY", ["ORIGINAL", "CANARY"]
    ds.save_as(tmp_path / "a", implicit_vr=False, little_endian=True, enforce_file_format=False)
    batch = read([tmp_path / "a"])[0]
    (row,) = batch.tables["imaging_instances"].to_pylist()
    assert "CANARY" not in str(row)
    assert (row["modality"], row["image_type"]) == ("CT", "ORIGINAL\\")
    assert batch.dropped_by_file["0" * 32]["dicom.terms"] == 4


def test_other_units_and_a_time_alone_are_read(tmp_path: Path) -> None:
    ds, dose = Dataset(), Dataset()
    ds.PatientID, ds.Modality, ds.SeriesDate = "P", "PT", "20240115"
    ds.XRayTubeCurrentInuA, ds.ExposureInuAs, ds.ExposureTimeInuS = "250000", "5000", "12000"
    dose.Radiopharmaceutical, dose.RadiopharmaceuticalStartTime = "FDG", "101500"
    ds.RadiopharmaceuticalInformationSequence = [dose]
    ds.save_as(tmp_path / "a", implicit_vr=False, little_endian=True, enforce_file_format=False)
    del dose.RadiopharmaceuticalStartTime
    ds.save_as(tmp_path / "b", implicit_vr=False, little_endian=True, enforce_file_format=False)
    rows = read([tmp_path / "a", tmp_path / "b"])[0].tables["imaging_instances"].to_pylist()
    values = [rows[0][c] for c in ("tube_current_ma", "exposure_mas", "exposure_time_ms")]
    assert values == [250.0, 5.0, 12.0]
    assert rows[0]["radiopharmaceutical"] == "FDG"
    assert rows[0]["injected_at"] == dt.datetime(2024, 1, 15, 10, 15, tzinfo=dt.UTC)
    assert rows[1]["injected_at"] is None

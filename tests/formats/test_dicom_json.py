"""DICOM as JSON: the model of PS3.18 and flat metadata, in arrays, lines and alone."""

from __future__ import annotations

import datetime as dt
import io
import json
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest

from lakehouse.batch import RawBatch, Source
from lakehouse.formats import recognise
from lakehouse.formats.dicom import FORMAT

FLAT = {
    "study_instance_uid": "1.2.3",
    "modality": "CT",
    "body_part_examined": "CHEST",
    "number_of_frames": 350,
    "file_size_mb": 512.5,
    "study_date": "2024-01-15",
    "series_description": "Chest CT with contrast",
    "study_status": "COMPLETED",
    "patient_id": "P1",
    "referring_physician": "CANARY",
}


def parse(data: bytes, **source: Any) -> RawBatch:
    (batch,) = FORMAT.parse(io.BytesIO(data), Source("a" * 32, **source))
    return batch


def rows(data: bytes) -> list[dict[str, Any]]:
    return parse(data).tables["imaging_instances"].to_pylist()


def test_flat_metadata_of_the_tutorial() -> None:
    (row,) = rows(json.dumps(FLAT).encode())
    assert row["study_uid"] == "1.2.3"
    assert row["modality"] == "CT"
    assert row["body_part"] == "CHEST"
    assert row["frames"] == 350
    assert row["file_size"] == 512_500_000
    assert row["study_at"] == dt.datetime(2024, 1, 15, tzinfo=dt.UTC)
    assert row["series_description_length"] == 22
    assert row["study_status"] == "COMPLETED"
    assert "CANARY" not in str(row)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([FLAT, FLAT, FLAT]),
        json.dumps([FLAT, FLAT, FLAT], indent=2),
        "\n".join(json.dumps(FLAT) for _ in range(3)),
        "\ufeff" + "\r\n".join(json.dumps(FLAT) for _ in range(3)) + "\r\n",
    ],
    ids=["array", "indented", "lines", "bom"],
)
def test_an_array_is_as_good_as_lines(text: str) -> None:
    batch = parse(text.encode())
    assert batch.n_records == 3
    assert batch.tables["records"]["ordinal"].to_pylist() == [0, 1, 2]
    assert batch.by_file == {"a" * 32: 3}


def test_a_date_with_a_time_fills_both() -> None:
    (row,) = rows(json.dumps(FLAT | {"study_date": "2024-01-15T10:30:00"}).encode())
    assert row["study_at"] == dt.datetime(2024, 1, 15, 10, 30, tzinfo=dt.UTC)
    assert row["study_hour"] == 10


def test_the_model_gives_what_the_object_gives(shared_data: Path) -> None:
    folder = shared_data / "dicom" / "pydicom+pydicom" / "src" / "pydicom" / "data" / "test_files"
    compared = 0
    for name in ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "liver.dcm", "chrH31.dcm"):
        path = next((shared_data / "dicom").rglob(name), folder / name)
        if not path.is_file():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            model = ds.to_json_dict(suppress_invalid_tags=True)
        with path.open("rb") as stream:
            (whole,) = FORMAT.parse(stream, Source("a" * 32))
        ours = rows(json.dumps([model]).encode())[0]
        theirs = whole.tables["imaging_instances"].to_pylist()[0]
        only_meta = {"transfer_syntax_uid", "file_size"}
        different = {
            k: (ours[k], theirs[k]) for k in theirs if ours[k] != theirs[k] and k not in only_meta
        }
        assert not different
        compared += sum(v is not None for v in ours.values())
    assert compared > 80


def test_sample_json_files_are_recognised(shared_data: Path) -> None:
    for path in (shared_data / "dicom").rglob("*.json"):
        known = recognise(path.read_bytes()[:4096], ".json")
        assert known is FORMAT
        batch = parse(path.read_bytes())
        assert batch.n_records == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('[{"00080060": {"vr": "CS", "Value": ["CT"]}}, 7]', "dicom.json"),
        ('[{"00080060": {"vr": "CS", "Value": ["CT"]}}, {"00080060"', "dicom.json"),
        ('{"00080060": 7}', "dicom.json"),
        ('{"00080060": {"vr": "SQ", "Value": [1]}}', "dicom.json"),
        ('{"00080060": ' + '{"vr": "SQ", "Value": [{"00080060": ' * 70, "dicom.json"),
        (
            '{"00080060": ' + '{"vr":"SQ","Value":[{"00080060": ' * 70 + "{}" + "}]}" * 70 + "}",
            "dicom.nesting",
        ),
    ],
)
def test_damaged_json_ends_as_a_reject(text: str, rule: str) -> None:
    batch = parse(text.encode() + b' "study_instance_uid"')
    assert rule in {r.rule for r in batch.rejects if r.level == "record"}


def test_deep_json_does_not_break_the_stack() -> None:
    text = '{"study_instance_uid": ' + "[" * 100_000 + "]" * 100_000 + "}"
    assert {r.rule for r in parse(text.encode()).rejects} == {"dicom.nesting"}


def test_other_json_is_not_ours() -> None:
    for text in (b'{"resourceType": "Patient"}', b"[1, 2]", b"{}", b'{"vr": "CS"}'):
        assert not FORMAT.sniff(text)


def test_many_lines_make_bounded_batches() -> None:
    line = json.dumps(FLAT).encode() + b"\n"
    batches = list(FORMAT.parse(io.BytesIO(line * 5_000), Source("a" * 32)))
    assert [b.n_records for b in batches] == [2_000, 2_000, 1_000]
    ids = {i for b in batches for i in b.tables["records"]["record_id"].to_pylist()}
    assert len(ids) == 5_000

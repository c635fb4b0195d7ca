"""Truncated, corrupt and hostile objects end as rejects, in bounded time and memory."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from lakehouse.batch import RawBatch, Source
from lakehouse.errors import MissingExtraError
from lakehouse.formats.dicom import FORMAT

LIMIT_SECONDS = 5.0
LIMIT_BYTES = 200 * 1024 * 1024


def parse(data: bytes) -> RawBatch:
    """Parse one object within the limits of time and memory."""
    tracemalloc.start()
    began = time.perf_counter()
    batches = list(FORMAT.parse(io.BytesIO(data), Source("0" * 32, size=len(data))))
    seconds, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < LIMIT_SECONDS
    assert peak < LIMIT_BYTES
    (batch,) = batches
    assert batch.n_records == 1
    return batch


def only_reject(data: bytes) -> str:
    """Return the rule of the one reject that an object must end as."""
    batch = parse(data)
    assert "imaging_instances" not in batch.tables
    (reject,) = batch.rejects
    assert reject.level == "record"
    return reject.rule


def explicit(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Return one element in explicit VR little endian."""
    size = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr in (b"SQ", b"OB", b"OW", b"UN", b"UT"):
        return head + b"\0\0" + struct.pack("<I", size) + value
    return head + struct.pack("<H", size) + value


def part10(*elements: bytes, syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    """Return an object with preamble and meta information."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM" + explicit(0x00020010, b"UI", uid) + b"".join(elements)


MODALITY = explicit(0x00080060, b"CS", b"CT")
PATIENT = explicit(0x00100020, b"LO", b"P1")


def nested(depth: int, defined: bool) -> bytes:
    """Return a sequence nested so deep, with defined or undefined lengths."""
    body = b""
    for _ in range(depth):
        if defined:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
            body = explicit(0x00400275, b"SQ", item)
        else:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + body
            item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
            body = explicit(0x00400275, b"SQ", item, 0xFFFFFFFF)
    return body


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("depth", [70, 500, 5_000])
def test_nested_sequences_end_as_a_reject(depth: int, defined: bool) -> None:
    assert only_reject(part10(MODALITY, PATIENT, nested(depth, defined))) == "dicom.nesting"


@pytest.mark.parametrize("defined", [True, False])
def test_ordinary_nesting_is_read(defined: bool) -> None:
    batch = parse(part10(MODALITY, PATIENT, nested(10, defined)))
    assert batch.tables["imaging_instances"]["modality"].to_pylist() == ["CT"]


@pytest.mark.parametrize("vr", [b"UN", b"SQ", b"UT", b"OB"])
@pytest.mark.parametrize("tag", [0x00091010, 0x00081030, 0x00400275])
def test_a_length_of_four_gigabytes_ends_as_a_reject(tag: int, vr: bytes) -> None:
    hostile = explicit(tag, vr, b"x" * 20, 0xFFFFFFF0)
    assert only_reject(part10(MODALITY, PATIENT, hostile)) == "dicom.truncated"


def test_a_four_gigabyte_length_in_a_stream_that_cannot_seek() -> None:
    hostile = part10(MODALITY, PATIENT, explicit(0x00091010, b"UN", b"x" * 20, 0xFFFFFFF0))

    class Sequential(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *args: Any) -> int:
            raise io.UnsupportedOperation

    (batch,) = FORMAT.parse(Sequential(hostile), Source("0" * 32))
    assert [r.rule for r in batch.rejects] == ["dicom.truncated"]


def test_a_plain_value_of_megabytes_ends_as_a_reject() -> None:
    assert only_reject(part10(MODALITY, explicit(0x00081030, b"UT", b"x" * (2 << 20)))) == (
        "dicom.length"
    )


def test_rejects_alone_fill_batches_too() -> None:
    junk = ((io.BytesIO(part10(b"\x08\0")), Source(f"{n:032x}")) for n in range(5))
    batches = list(FORMAT.parse_many(junk))
    assert sum(b.n_records for b in batches) == 5
    assert sum(len(b.rejects) for b in batches) == 5


def test_a_deflate_bomb_is_not_inflated() -> None:
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = compressor.compress(
        MODALITY + PATIENT + struct.pack("<HH2sHI", 9, 0x1010, b"UN", 0, 2**31)
    )
    for _ in range(600):
        bomb += compressor.compress(bytes(1 << 20))
    bomb += compressor.flush()
    data = part10(bomb, syntax="1.2.840.10008.1.2.1.99")
    assert only_reject(data) == "dicom.length"


def test_damaged_deflate_data_ends_as_a_reject() -> None:
    assert only_reject(part10(b"\xff\xfe garbage" * 9, syntax="1.2.840.10008.1.2.1.99")) == (
        "dicom.deflate"
    )


def sample() -> bytes:
    """Return an ordinary small object with sequences, text and pixels."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds.Modality, ds.PatientID, ds.PatientName = "CT", "P1", "Doe^Jane"
    ds.StudyDate, ds.StudyTime, ds.SliceThickness = "20240102", "030405", "2.5"
    inner = Dataset()
    inner.AccessionNumber = "A1"
    ds.RequestAttributesSequence = [inner]
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated, ds.SamplesPerPixel = 8, 1
    ds.PixelData = bytes(16)
    out = io.BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def test_a_file_cut_anywhere_is_a_row_or_a_reject() -> None:
    whole = sample()
    for end in range(140, len(whole)):
        cut = whole[:end]
        batch = (
            parse(cut)
            if end % 16 == 0
            else next(FORMAT.parse(io.BytesIO(cut), Source("0" * 32, size=end)))
        )
        taken = "records" in batch.tables
        assert taken != any(r.level == "record" for r in batch.rejects)
        if end < len(whole) - 24:  # before the pixel data: only an element's edge may look whole
            assert not taken or batch.tables["records"]["n_segments"].to_pylist()[0] < 20


def test_pixels_that_are_cut_off_are_a_warning() -> None:
    batch = parse(sample()[:-4])
    assert batch.tables["imaging_instances"].num_rows == 1
    found = [(r.rule, r.level) for r in batch.rejects if r.rule != "dicom.missing"]
    assert found == [("dicom.pixels", "warning")]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_flipped_bytes_never_crash(data: st.DataObject) -> None:
    whole = bytearray(sample())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    for batch in FORMAT.parse(io.BytesIO(bytes(whole)), Source("0" * 32, size=len(whole))):
        assert batch.n_records == 1
        for table in batch.tables.values():
            table.validate(full=True)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_behind_the_preamble_end_somehow(tail: bytes) -> None:
    for batch in FORMAT.parse(io.BytesIO(part10(tail)), Source("0" * 32)):
        assert batch.n_records == 1


def test_no_reject_holds_a_value() -> None:
    secret = b"CANARYNAME"
    data = part10(
        MODALITY,
        explicit(0x00080020, b"DA", secret),
        explicit(0x00100010, b"PN", secret),
        explicit(0x00100020, b"LO", secret),
        explicit(0x00200013, b"IS", secret),
        explicit(0x00280010, b"US", b"\1"),
    )
    batch = parse(data)
    found = {r.location for r in batch.rejects if r.rule == "dicom.value"}
    assert found == {"(0008,0020)", "(0020,0013)"}
    assert all("CANARY" not in r.message for r in batch.rejects)


def test_the_pixel_data_is_never_read(tmp_path: Path) -> None:
    reads: list[int] = []

    class Counting(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            reads.append(super().readinto(buffer) or 0)
            return reads[-1]

        def read(self, size: int = -1) -> bytes:
            data = super().read(size)
            reads.append(len(data))
            return data

    path = tmp_path / "large"
    head = sample()[:-16]
    with path.open("wb") as out:
        out.write(head[:-4] + struct.pack("<I", 500_000_000))
        out.truncate(len(head) + 500_000_000)
    with Counting(path, "rb") as stream:
        (batch,) = FORMAT.parse(stream, Source("0" * 32))
        assert batch.tables["imaging_instances"]["file_size"].to_pylist() == [
            len(head) + 500_000_000
        ]
        assert {r.level for r in batch.rejects} == {"warning"}
    with Counting(path, "rb") as stream:
        mark = FORMAT.fingerprint(stream, path.stat().st_size)
        assert mark is not None
        assert len(mark) < 1_000
    assert sum(reads) < 100_000


def test_deflated_and_gzipped_objects_are_read() -> None:
    data = sample()
    ds_start = data.index(struct.pack("<HH", 8, 0x16))
    uid = DeflatedExplicitVRLittleEndian.encode()
    deflater = zlib.compressobj(wbits=-15)
    deflated = (
        bytes(128)
        + b"DICM"
        + explicit(0x00020010, b"UI", uid)
        + deflater.compress(data[ds_start:])
        + deflater.flush()
    )
    plain = parse(data).tables["imaging_instances"]
    for other in (deflated, gzip.compress(data)):
        stream = (
            gzip.GzipFile(fileobj=io.BytesIO(other))
            if other[:2] == b"\x1f\x8b"
            else io.BytesIO(other)
        )
        (batch,) = FORMAT.parse(stream, Source("0" * 32, size=len(data)))  # type: ignore[arg-type]
        found = batch.tables["imaging_instances"]
        for column in ("slice_thickness_mm", "accession_id", "study_at", "rows"):
            assert found[column].to_pylist() == plain[column].to_pylist()


def test_without_pydicom_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sample()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert FORMAT.sniff(data[:4096])
    with pytest.raises(MissingExtraError, match=r"clinical-lakehouse\[dicom\]"):
        next(FORMAT.parse(io.BytesIO(data), Source("0" * 32)))

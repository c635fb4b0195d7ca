"""Pixels: what is refused, what is blanked, and that nothing rides along with the image."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from lakehouse.errors import DefinitionError
from lakehouse.export import Exporter, ExportRefusal, Regions, export_dicom
from lakehouse.export.compressed_frames import strip_hidden_data
from lakehouse.privacy.keys.secret import Secret
from tests.export.small_objects import an_object, exported, save

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


RISKY: dict[str, dict[str, Any]] = {
    "stated": {"BurnedInAnnotation": "YES"},
    "capture": {"sop_class": "1.2.840.10008.5.1.4.1.1.7"},
    "ultrasound": {"sop_class": "1.2.840.10008.5.1.4.1.1.6.1"},
    "multi-frame ultrasound": {"sop_class": "1.2.840.10008.5.1.4.1.1.3.1"},
    "angiography": {"sop_class": "1.2.840.10008.5.1.4.1.1.12.1"},
    "photograph": {"sop_class": "1.2.840.10008.5.1.4.1.1.77.1.4"},
    "by modality": {"Modality": "US"},
    "screen": {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
    "document": {
        "sop_class": "1.2.840.10008.5.1.4.1.1.104.1",
        "EncapsulatedDocument": b"%PDF CANARY ",
    },
    "report": {"sop_class": "1.2.840.10008.5.1.4.1.1.88.33"},
    "padded class": {"sop_class": "1.2.840.10008.5.1.4.1.1.7 "},
    "lower case": {"Modality": "us"},
    "one of two modalities": {"Modality": ["CT", "US"]},
    "a maker's class": {"sop_class": "1.3.46.670589.5.0.1.1"},
    "an unknown class": {"sop_class": "1.2.840.10008.5.1.4.1.1.9999"},
    "printed": {"sop_class": "1.2.840.10008.5.1.1.29"},
    "converted": {"ConversionType": "WSD"},
    "stated by a letter": {"BurnedInAnnotation": "Y"},
    "recognisable": {"RecognizableVisualFeatures": "YES"},
    "voice": {"sop_class": "1.2.840.10008.5.1.4.1.1.9.4.1"},
    "a film": {"syntax": UID("1.2.840.10008.1.2.4.102"), "PixelData": encapsulate([b"film"])},
    "without a size": {"Rows": None},
}


@pytest.mark.parametrize("kind", RISKY)
def test_objects_that_may_show_identity_are_refused(
    kind: str, tmp_path: Path, secret: Secret
) -> None:
    save(an_object(**RISKY[kind]), tmp_path / "in" / "a")
    report = export_dicom(tmp_path / "in", tmp_path / "out", secret)
    assert report.n_exported == 0
    ((status, reason),) = report.outcomes
    assert status == "refused"
    assert reason
    assert not exported(tmp_path / "out")
    manifest = (tmp_path / "out" / "manifest.csv").read_text()
    assert "refused" in manifest
    assert "CANARY" not in manifest


@pytest.mark.parametrize(
    ("tag", "value"),
    [(0x60000100, 16), (0x60000100, [1, 16]), (0x601E0102, 12), (0x60020010, 8)],
)
def test_an_overlay_inside_the_pixels_is_refused(
    tmp_path: Path, secret: Secret, tag: int, value: Any
) -> None:
    ds = an_object()
    ds.add(DataElement(tag, "US", value))
    save(ds, tmp_path / "in" / "a")
    report = export_dicom(tmp_path / "in", tmp_path / "out", secret)
    assert list(report.outcomes) == [("refused", "an image with an overlay inside its pixels")]


UNUSED = {  # bits stored, high bit, representation, cells as they are and as a copy has them
    "an overlay above": (12, 11, 0, [0x0FFF, 0x1FFF, 0xF123], [0x0FFF, 0x0FFF, 0x0123]),
    "an overlay below": (12, 15, 0, [0x1230, 0x123F, 0xFFF1], [0x1230, 0x1230, 0xFFF0]),
    "a sign": (12, 11, 1, [0x07FF, 0xFFFF, 0x0800], [0x07FF, 0xFFFF, 0xF800]),
    "a sign and an overlay": (12, 11, 1, [0x17FF, 0x8FFF, 0x0001], [0x07FF, 0xFFFF, 0x0001]),
    "none": (16, 15, 0, [0xFFFF, 0x8000, 1], [0xFFFF, 0x8000, 1]),
}


@pytest.mark.parametrize("kind", UNUSED)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_bits_that_no_sample_uses_are_cleared(
    kind: str, syntax: str, tmp_path: Path, secret: Secret
) -> None:
    """PS3.5 8.1.1: an overlay may stand there, and nothing else may say so any more."""
    stored, high, signed, cells, cleared = UNUSED[kind]
    order = "<" if syntax == ExplicitVRLittleEndian else ">"
    ds = an_object(
        syntax=syntax, BitsAllocated=16, BitsStored=stored, HighBit=high, Rows=1, Columns=3,
        PixelRepresentation=signed, PixelData=struct.pack(f"{order}3H", *cells) ,
    )  # fmt: skip
    ds["PixelData"].VR = "OW"
    path = save(ds, tmp_path / "in" / "a")
    copy = pydicom.dcmread(Exporter(tmp_path / "out", secret).write(path.read_bytes()))
    assert list(struct.unpack(f"{order}3H", copy.PixelData[:6])) == cleared


@pytest.mark.parametrize(("stored", "high"), [(12, 20), (12, 5), (0, 11), ("", 11)])
def test_bits_that_cannot_be_are_refused(
    stored: Any, high: int, tmp_path: Path, secret: Secret
) -> None:
    values = {"BitsAllocated": 16, "BitsStored": stored or None, "HighBit": high}
    ds = an_object(**values, Rows=1, Columns=3, PixelData=bytes(6))
    if stored == 0:
        ds.BitsStored = 0
    path = save(ds, tmp_path / "in" / "a")
    with pytest.raises(ExportRefusal, match="cannot be decoded"):
        Exporter(tmp_path / "out", secret).write(path.read_bytes())


REGIONS = """
[[device]]
manufacturer = "ACME"
model = "Sono 1"
regions = [[0, 0, 8, 2], [6, 6, 9, 9]]
"""


def test_named_regions_of_named_devices_are_blanked(tmp_path: Path, secret: Secret) -> None:
    (tmp_path / "regions.toml").write_text(REGIONS)
    known = an_object(1, Modality="US", Manufacturer="ACME", ManufacturerModelName="Sono 1")
    save(known, tmp_path / "in" / "known")
    save(an_object(2, Modality="US", Manufacturer="OTHER"), tmp_path / "in" / "unknown")
    report = export_dicom(
        tmp_path / "in", tmp_path / "out", secret, regions=Regions.load(tmp_path / "regions.toml")
    )
    assert report.n_exported == 1
    (path,) = exported(tmp_path / "out")
    ds = pydicom.dcmread(path)
    lines = [ds.PixelData[i : i + 8] for i in range(0, 64, 8)]
    assert lines[:2] == [bytes(8)] * 2
    assert lines[2:6] == [bytes([9]) * 8] * 4
    assert lines[6:] == [bytes([9]) * 6 + bytes(2)] * 2
    assert ds.BurnedInAnnotation == "NO"
    codes = [i.CodeValue for i in ds.DeidentificationMethodCodeSequence]
    assert "113101" in codes


DEVICE = "[[device]]\nmanufacturer='a'\nmodel='b'\n"
FAULTY = {
    "[[device]]\nmodel = 'x'": "incomplete",
    "[[device": "TOML",
    "device = 'x'": "no device",
    "": "no device",
    "[[devices]]\nmodel='b'": "Did you mean device?",
    DEVICE + "regions=[]": "no region",
    DEVICE + "regions=[[0, 0, 1]]": "no region",
    DEVICE + "regions=[[0, 0, 0, 1]]": "no region",
    DEVICE + "regions=[[0, 0, 1.5, 1]]": "no region",
    DEVICE + "regions=[[0, 0, true, 1]]": "no region",
    DEVICE + "regions=7": "regions is of the wrong kind",
    DEVICE + "regions=[[0, 0, 1, 1]]\nmodelity='US'": "Did you mean modality",
    DEVICE + "regions=[[0, 0, 1, 1]]\nrows='8'": "rows is of the wrong kind",
    "[[device]]\nmanufacturer=1\nmodel='b'\nregions=[[0, 0, 1, 1]]": "manufacturer is of the wrong",
    "[[device]]\nmanufacturer=''\nmodel=' '\nregions=[[0, 0, 1, 1]]": "incomplete",
}


@pytest.mark.parametrize("text", FAULTY)
def test_a_regions_file_that_is_at_fault_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "regions.toml").write_text(text)
    with pytest.raises(DefinitionError) as caught:
        Regions.load(tmp_path / "regions.toml")
    assert FAULTY[text] in str(caught.value)


def test_a_region_outside_the_image_blanks_nothing_and_is_not_claimed(
    tmp_path: Path, secret: Secret
) -> None:
    (tmp_path / "regions.toml").write_text(
        "[[device]]\nmanufacturer='ACME'\nmodel='S'\nregions=[[0, 0, 8, 2], [800, 0, 10, 4]]"
    )
    ds = an_object(BurnedInAnnotation="YES", Manufacturer="ACME", ManufacturerModelName="S")
    save(ds, tmp_path / "in" / "a")
    report = export_dicom(
        tmp_path / "in", tmp_path / "out", secret, regions=Regions.load(tmp_path / "regions.toml")
    )
    assert report.n_exported == 0
    ((_, reason),) = report.outcomes
    assert reason == "an image smaller than a region that is to be blanked"


def copy_of(ds: Dataset, tmp_path: Path, secret: Secret) -> Dataset:
    """Return the exported copy of an object."""
    save(ds, tmp_path / "in" / "a")
    report = export_dicom(tmp_path / "in", tmp_path / "out", secret)
    assert report.n_exported == 1, report.outcomes
    (path,) = exported(tmp_path / "out")
    assert b"CANARY" not in path.read_bytes()
    return pydicom.dcmread(path)


def test_what_lies_behind_the_last_row_is_cut_off(tmp_path: Path, secret: Secret) -> None:
    ds = an_object(PixelData=bytes([9]) * 64 + b"CANARYTRAIL!")
    assert copy_of(ds, tmp_path, secret).PixelData == bytes([9]) * 64


def test_no_pixel_of_a_sample_changes(shared_data: Path) -> None:
    """Compared where the pixels can be decoded here."""
    compared = 0
    for path in sorted(p for p in (shared_data / "dicom").rglob("*") if p.is_file()):
        try:
            ds = pydicom.dcmread(path)
            before = ds.pixel_array
        except Exception:
            continue
        strip_hidden_data(ds)
        after = pydicom.pixels.pixel_array(ds)
        assert before.tobytes() == after.tobytes(), path.name
        compared += 1
    assert compared > 100


def test_pixels_below_the_top_do_not_stay(tmp_path: Path, secret: Secret) -> None:
    item = Dataset()
    item.Rows = item.Columns = item.BitsAllocated = 8
    item.PixelData = b"CANARY".ljust(64)
    item["PixelData"].VR = "OB"
    ds = an_object(SharedFunctionalGroupsSequence=[item])
    left = copy_of(ds, tmp_path, secret)
    assert "PixelData" not in left.SharedFunctionalGroupsSequence[0]


def picture(kind: str, **options: Any) -> tuple[Image.Image, bytes]:
    """Return a picture with some texture, and its compressed form."""
    image = Image.frombytes(
        "L", (32, 32), bytes((x * y) % 251 for x in range(32) for y in range(32))
    )
    out = io.BytesIO()
    image.save(out, kind, **options)
    return image, out.getvalue()


def with_frames(frames: list[bytes], syntax: str) -> Dataset:
    ds = an_object(syntax=syntax, Rows=32, Columns=32, NumberOfFrames=len(frames))
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return ds


def opened(frame: bytes) -> bytes:
    return Image.open(io.BytesIO(frame)).tobytes()


def test_comments_inside_jpeg_streams_are_blanked(tmp_path: Path, secret: Secret) -> None:
    exif = Image.Exif()
    exif[0x010E] = "CANARY described"
    frames = [
        picture("JPEG", comment=b"CANARY comment", exif=exif)[1],
        picture("JPEG", comment=b"CANARY", progressive=True)[1] + b"CANARY behind!",
    ]
    assert all(b"CANARY" in frame for frame in frames)
    copy = copy_of(with_frames(frames, JPEGBaseline8Bit), tmp_path, secret)
    left = list(generate_frames(copy.PixelData, number_of_frames=2))
    assert [opened(f) for f in left] == [opened(f) for f in frames]


def test_comments_inside_jpeg_2000_streams_are_blanked(tmp_path: Path, secret: Secret) -> None:
    plain = picture("JPEG2000", no_jp2=True, tile_size=(16, 16))[1]
    comment = b"\xff\x64" + (4 + 14).to_bytes(2, "big") + b"\0\1" + b"CANARY comment"
    at = plain.index(b"\xff\x90")
    frame = plain[:at] + comment + plain[at:]
    copy = copy_of(with_frames([frame], JPEG2000Lossless), tmp_path, secret)
    (left,) = generate_frames(copy.PixelData, number_of_frames=1)
    assert opened(left) == opened(plain)


def test_what_lies_between_the_segments_of_a_run_length_image_is_blanked(
    tmp_path: Path, secret: Secret
) -> None:
    ds = an_object(BitsAllocated=16, BitsStored=16, HighBit=15, PixelData=bytes(range(128)))
    ds.compress(RLELossless)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    second = int.from_bytes(frame[8:12], "little")
    rider = b"CANARY in between"
    moved = frame[:8] + (second + len(rider)).to_bytes(4, "little") + frame[12:second]
    riding = moved[:20] + b"CANARY".ljust(44, b"\0") + moved[64:] + rider
    riding += frame[second:] + b"CANARY behind!"
    ds.PixelData = encapsulate([riding])
    copy = copy_of(ds, tmp_path, secret)
    copy.decompress()
    assert copy.PixelData == bytes(range(128))


@pytest.mark.parametrize(
    "frame", [b"not a picture", b"\xff\xd8\xff\xfe\xff\xff", b"\xff\xd8\xff\xda"]
)
def test_streams_that_are_not_understood_are_refused(
    tmp_path: Path, secret: Secret, frame: bytes
) -> None:
    save(with_frames([frame], JPEGBaseline8Bit), tmp_path / "in" / "a")
    report = export_dicom(tmp_path / "in", tmp_path / "out", secret)
    assert report.n_exported == 0


@pytest.mark.parametrize(
    ("samples", "planar", "bits", "frames", "packed"),
    [(1, 0, 16, 1, False), (3, 0, 8, 2, False), (3, 1, 8, 2, False), (1, 0, 8, 3, True)],
    ids=["16 bit", "colour by pixel", "colour by plane", "run-length"],
)
def test_regions_are_blanked_in_every_frame_and_plane(
    tmp_path: Path, secret: Secret, samples: int, planar: int, bits: int, frames: int, packed: bool
) -> None:
    (tmp_path / "regions.toml").write_text(REGIONS)
    ds = an_object(
        Modality="US", Manufacturer="acme", ManufacturerModelName="SONO 1",
        SamplesPerPixel=samples, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1,
        PhotometricInterpretation="RGB" if samples == 3 else "MONOCHROME2",
        NumberOfFrames=frames, PixelData=b"\t" * (64 * samples * frames * bits // 8),
    )  # fmt: skip
    if samples == 3:
        ds.PlanarConfiguration = planar
    if packed:
        ds.compress(RLELossless)
    save(ds, tmp_path / "in" / "a")
    regions = Regions.load(tmp_path / "regions.toml")
    report = export_dicom(tmp_path / "in", tmp_path / "out", secret, regions=regions)
    assert report.n_exported == 1, report.outcomes
    (path,) = exported(tmp_path / "out")
    images = pydicom.dcmread(path).pixel_array.reshape(frames, 8, 8, samples)
    assert not images[:, :2].any()
    assert not images[:, 6:, 6:].any()
    assert images[:, 2:6].all()
    assert images[:, 6:, :6].all()

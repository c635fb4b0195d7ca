"""What table E.1-1 does not name: nothing of it that could hold a name survives."""

from __future__ import annotations

import io
from copy import deepcopy
from typing import Any

import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from lakehouse.export import ObjectDeidentifier, Options
from lakehouse.export.dummies import clean_text
from lakehouse.export.elements import is_standard_attribute
from lakehouse.export.profile import row_of
from lakehouse.privacy.keys.secret import Secret

TEXT = {"AE", "CS", "SH", "LO", "ST", "LT", "UC", "UR", "UT", "PN"}
BYTES = {"OB", "OW", "OF", "OD", "OL", "OV", "UN"}
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
ALL = Options(
    descriptors=True, device=True, graphics=True, institution=True, patient_characteristics=True,
    safe_private=True, structured_content=True,
)  # fmt: skip


def unlisted() -> list[tuple[int, str]]:
    """Return every attribute of the current standard that the table does not name, with its VRs."""
    found = []
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if keyword and not retired and tag >> 16 >= 8 and row_of(tag) is None:
            found += [(tag, one) for one in vr.split(" or ")]
    return found


def token(tag: int, vr: str) -> Any:
    """Return an own token for an attribute, as a person or a program would write it there."""
    if vr in TEXT:
        return f"CANARY{tag:08X}" if vr in ("CS", "AE") else f"CANARY^{tag:08X}"
    if vr in BYTES:
        return f"CANARY{tag:08X}".encode().ljust(16)
    return {"UI": f"1.2.826.77.{tag}", "DA": "20240229", "DT": "20240229101112"}.get(vr)


def as_stored(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, implicit_vr=False, little_endian=True)
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("options", [Options(), ALL], ids=["profile", "options"])
@pytest.mark.parametrize("depth", [0, 1], ids=["top", "nested"])
def test_no_token_in_any_unlisted_attribute_survives(
    secret: Secret, options: Options, depth: int
) -> None:
    judged = 0
    for tag, vr in unlisted():
        value = token(tag, vr)
        if value is None or (depth == 0 and tag in PIXELS):
            continue
        level = dataset = Dataset()
        dataset.PatientID = "P1"
        if depth:
            level = Dataset()
            dataset.SharedFunctionalGroupsSequence = [level]
        level.add(DataElement(tag, vr, value))
        ObjectDeidentifier(secret, options)(dataset)
        left = as_stored(dataset)
        for mark in (b"CANARY", b"1.2.826.77", b"20240229"):
            assert mark not in left, f"{tag:08X} {vr}"
        judged += 1
    assert judged > 1100


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_numbers_that_are_text_do_not_stay(secret: Secret) -> None:
    judged = 0
    for tag, (vr, _, _, _, _) in DicomDictionary.items():
        if vr not in ("DS", "IS", "TM", "AS") or not is_standard_attribute(tag, vr):
            continue
        dataset = Dataset()
        dataset.PatientID = "P1"
        dataset[tag] = RawDataElement(Tag(tag), vr, 14, b"CANARY^JOHN Q ", 0, False, True)
        ObjectDeidentifier(secret, ALL)(dataset)
        assert b"CANARY" not in as_stored(dataset), f"{tag:08X} {vr}"
        judged += 1
    assert judged > 600


def test_what_an_image_needs_stays(secret: Secret) -> None:
    ds = Dataset()
    kept = {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "PhotometricInterpretation": "MONOCHROME2",
        "Modality": "CT", "BodyPartExamined": "CHEST", "Rows": 512, "Columns": 512,
        "PixelSpacing": [0.5, 0.5], "ImagePositionPatient": [-1.5, 2, 1e-3],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "RescaleSlope": "1", "RescaleType": "HU",
        "WindowCenter": [40, 400], "ConvolutionKernel": "B30f", "Manufacturer": "SonoSite, Inc.",
        "ManufacturerModelName": "SOMATOM Definition AS+", "KVP": "120", "SliceThickness": "2.5",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SpecificCharacterSet": "ISO_IR 192",
        "RedPaletteColorLookupTableDescriptor": [4, 0, 16],
        "RedPaletteColorLookupTableData": bytes(8), "SmallestImagePixelValue": 0,
    }  # fmt: skip
    for keyword, value in kept.items():
        setattr(ds, keyword, value)
    ObjectDeidentifier(secret)(ds)
    assert {k: ds.get(k) for k in kept} == kept


def test_a_term_that_is_none_is_emptied_among_others_and_removed_alone(secret: Secret) -> None:
    ds = Dataset()
    ds.ImageType, ds.BodyPartExamined = ["ORIGINAL", "PRIMARY", "CANARY"], "CANARY JOHN"
    ObjectDeidentifier(secret)(ds)
    assert ds.ImageType == ["ORIGINAL", "PRIMARY", ""]
    assert "BodyPartExamined" not in ds


@pytest.mark.parametrize(
    "value",
    [
        "CANARY^JOHN SMITH",
        "JOHN SMITH",
        "SIEMENS SMITH",
        "SMITH 3",
        "jo.smith@x.org",
        "1958-12-31",
        "MRN 1",
    ],
)
def test_a_maker_that_is_none_does_not_stay(secret: Secret, value: str) -> None:
    ds = Dataset()
    ds.Manufacturer = ds.ManufacturerModelName = value
    ObjectDeidentifier(secret)(ds)
    assert "Manufacturer" not in ds
    assert "ManufacturerModelName" not in ds


def test_bytes_stay_only_as_many_as_the_object_describes(secret: Secret) -> None:
    ds = Dataset()
    ds.RedPaletteColorLookupTableDescriptor = [4, 0, 16]
    ds.RedPaletteColorLookupTableData = bytes(8) + b"CANARY"
    group = Dataset()
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = 2, 4
    group.WaveformBitsAllocated, group.WaveformData = 16, bytes(16)
    other = deepcopy(group)
    other.WaveformData = bytes(16) + b"CANARY"
    ds.WaveformSequence = [group, other]
    ObjectDeidentifier(secret)(ds)
    assert "RedPaletteColorLookupTableData" not in ds
    assert ["WaveformData" in g for g in ds.WaveformSequence] == [True, False]


def test_encrypted_attributes_do_not_stay(secret: Secret) -> None:
    ds, item = Dataset(), Dataset()
    item.EncryptedContentTransferSyntaxUID = "1.2.840.10008.1.2.1"
    item.EncryptedContent = b"CANARY"
    ds.EncryptedAttributesSequence = [item]
    ObjectDeidentifier(secret)(ds)
    assert "EncryptedAttributesSequence" not in ds


def test_a_uid_under_an_unknown_root_is_no_class(secret: Secret) -> None:
    ds = Dataset()
    ds.ReferencedSOPClassUID = "1.2.826.77.5"
    ObjectDeidentifier(secret)(ds)
    assert ds.ReferencedSOPClassUID.startswith("2.25.")


EMPTY = ("ContrastBolusAgent", "ContentDate", "AcquisitionTime", "OperatorsName", "StationName")


def test_what_is_empty_stays_empty(secret: Secret) -> None:
    ds = Dataset()
    ds.PatientID, ds.StudyDate = "P1", "20240101"
    for keyword in EMPTY:
        setattr(ds, keyword, "")
    ds.DeviceSerialNumber = "  "
    ds.ContrastBolusAgentSequence = []
    ObjectDeidentifier(secret)(ds)
    for keyword in (*EMPTY, "DeviceSerialNumber"):
        assert not ds.get(keyword), keyword
    assert not ds.get("ContrastBolusAgentSequence")


@pytest.mark.parametrize("number", [None, "", "  ", '""'])
def test_who_has_no_number_gets_none(secret: Secret, number: str | None) -> None:
    ds = Dataset()
    ds.StudyDate = "20240101"
    if number is not None:
        ds.PatientID = number
    ObjectDeidentifier(secret)(ds)
    assert not ds.get("PatientID")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("123_456_789 CHEST", "CHEST"),
        ("12 03 99", ""),
        ("SSN 123 45 678", ""),
        ("CHEST 5mm 120 kV", "CHEST 5mm 120 kV"),
        ("123mm 456mm 789mm CHEST", "123mm 456mm CHEST"),
        ("T2w 3D brain", "T2w 3D brain"),
    ],
)
def test_numbers_stay_in_descriptions_only_with_a_unit(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({"PatientAge": "045Y", "PatientBirthDate": "19200101"}, "090Y"),
        ({"PatientAge": "045Y", "PatientBirthDate": "19790601"}, "044Y"),
        ({"PatientAge": "018M", "PatientBirthDate": "20220601"}, "018M"),
        ({"PatientAge": "045Y", "PatientBirthDate": "19790601", "StudyDate": ""}, None),
        ({"PatientAge": "130Y"}, None),
        ({"PatientAge": "093Y"}, "090Y"),
    ],
)
def test_an_age_is_the_one_that_the_tables_have(
    secret: Secret, values: dict[str, str], left: str | None
) -> None:
    ds = Dataset()
    ds.PatientID, ds.StudyDate = "P1", "20240101"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ObjectDeidentifier(secret, Options(patient_characteristics=True))(ds)
    assert (ds.PatientAge or None) == left


def test_private_elements_that_are_called_safe_are_numbers_and_terms(secret: Secret) -> None:
    def block(group: int, creator: str) -> Dataset:
        item = Dataset()
        item.PrivateGroupReference, item.PrivateCreatorReference = group, creator
        item.BlockIdentifyingInformationStatus = "SAFE"
        return item

    ds = Dataset()
    ds.PrivateDataElementCharacteristicsSequence = [block(9, "ACME 1"), block(11, "CANARY^JOHN")]
    for group, creator in ((9, "ACME 1"), (11, "CANARY^JOHN")):
        ds.add(DataElement(group << 16 | 0x10, "LO", creator))
        ds.add(DataElement(group << 16 | 0x1001, "CS", "CANARY"))
        ds.add(DataElement(group << 16 | 0x1002, "CS", "AXIAL"))
        ds.add(DataElement(group << 16 | 0x1003, "US", 7))
        ds.add(DataElement(group << 16 | 0x1004, "LO", "CANARY"))
    ObjectDeidentifier(secret, Options(safe_private=True))(ds)
    assert [int(e.tag) for e in ds if e.tag.group == 9] == [0x90010, 0x91002, 0x91003]
    assert not [e for e in ds if e.tag.group == 11]


def test_graphic_layers_keep_their_bond_and_not_their_names(secret: Secret) -> None:
    ds, layer, note = Dataset(), Dataset(), Dataset()
    layer.GraphicLayer = note.GraphicLayer = "CANARYLAYER"
    layer.GraphicLayerOrder = 1
    ds.GraphicLayerSequence, ds.GraphicAnnotationSequence = [layer], [note]
    ObjectDeidentifier(secret, Options(graphics=True))(ds)
    assert ds.GraphicLayerSequence[0].GraphicLayer == "LAYER1"
    assert ds.GraphicAnnotationSequence[0].GraphicLayer == "LAYER1"


def test_codes_of_reports_are_public_or_gone(secret: Secret) -> None:
    def code(value: str, designator: str, text: str) -> Dataset:
        made = Dataset()
        made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, designator, text
        return made

    ds, item = Dataset(), Dataset()
    item.ValueType = "CODE"
    item.ConceptNameCodeSequence = [code("121106", "DCM", "CANARY JOHN")]
    item.ConceptCodeSequence = [code("CANARY", "99X", "CANARY")]
    ds.ContentSequence = [item]
    ObjectDeidentifier(secret, Options(structured_content=True))(ds)
    (left,) = ds.ContentSequence
    assert left.ConceptNameCodeSequence[0].CodeMeaning == "Comment"
    assert "CANARY" not in str(ds)

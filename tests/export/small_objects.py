"""Small objects, and where they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"


def an_object(number: int = 1, **values: Any) -> Dataset:
    """Return a small CT image."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = values.pop("syntax", ExplicitVRLittleEndian)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = values.pop("sop_class", CT)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.77.1", "1.2.826.77.1.1"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.77.1.1.{number}"
    ds.Modality, ds.PatientID, ds.PatientName = "CT", "CANARYID", "CANARY^NAME"
    ds.PatientBirthDate, ds.PatientSex = "19581231", "F"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20240229", "101500", "CANARYACC"
    ds.Rows = ds.Columns = 8
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 7, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes([9]) * 64
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def save(ds: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def exported(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))

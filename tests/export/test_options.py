"""Each option of ``lakehouse export dicom``, through the command line: what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

import lakehouse
from lakehouse.cli import run
from lakehouse.privacy.identity.pseudonyms import pseudonym
from lakehouse.privacy.keys.secret import Secret
from tests.export.small_objects import an_object, exported, save

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

Left = Callable[[Dataset], Any]

OPTIONS: dict[str, tuple[Left, Any, Any]] = {
    "--retain-uids": (lambda ds: ds.StudyInstanceUID == "1.2.826.77.1", False, True),
    "--retain-device": (lambda ds: ds.get("StationName"), "REMOVED", "CT1"),
    "--retain-institution": (lambda ds: ds.get("InstitutionName"), "REMOVED", "Mercy"),
    "--retain-patient-characteristics": (lambda ds: ds.get("PatientSex") or None, None, "F"),
    "--retain-full-dates": (lambda ds: ds.StudyDate == "20240229", False, True),
    "--no-dates": (lambda ds: bool(ds.StudyDate), True, False),
    "--modified-dates": (lambda ds: bool(ds.StudyDate), True, True),
    "--clean-descriptors": (lambda ds: ds.get("StudyDescription"), None, "CHEST"),
    "--clean-graphics": (lambda ds: 0x60003000 in ds, False, True),
    "--retain-safe-private": (lambda ds: 0x00251007 in ds, False, True),
}
"""Option -> what to look at in the copy, without the option and with it."""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    ds = an_object(StationName="CT1", InstitutionName="Mercy", StudyDescription="CHEST Smith")
    ds.add(DataElement(0x00250010, "LO", "GEMS_SERS_01"))
    ds.add(DataElement(0x00251007, "SL", 7))
    for number, vr, value in ((0x10, "US", 8), (0x11, "US", 8), (0x100, "US", 1), (0x102, "US", 0)):
        ds.add(DataElement(0x60000000 | number, vr, value))
    ds.add(DataElement(0x60003000, "OW", b"CANARY!!"))
    save(ds, tmp_path / "in" / "a")
    return tmp_path / "in"


@pytest.fixture
def place(tmp_path: Path, secret: Secret) -> Path:
    lakehouse.init(tmp_path / "warehouse")
    return tmp_path / "warehouse"


def copies(archive: Path, place: Path, *arguments: str) -> list[Dataset]:
    """Return what a run of the command wrote."""
    target = place.parent / f"out{len(list(place.parent.glob('out*')))}"
    code = run(["export", "dicom", str(archive), str(target), "-w", str(place), *arguments])
    assert code == 0
    return [pydicom.dcmread(path) for path in exported(target)]


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_keeps_what_it_says(archive: Path, place: Path, option: str) -> None:
    look, without, with_it = OPTIONS[option]
    (plain,) = copies(archive, place)
    (copy,) = copies(archive, place, option)
    assert (look(plain), look(copy)) == (without, with_it)
    for ds in (plain, copy):
        assert ds.PatientID != "CANARYID"
        assert b"CANARY" not in ds.get(0x60003000, DataElement(0x60003000, "OW", b"")).value


def test_reports_are_taken_with_their_content_cleaned(tmp_path: Path, place: Path) -> None:
    item = Dataset()
    item.ValueType, item.TextValue = "TEXT", "CANARY"
    ds = an_object(sop_class="1.2.840.10008.5.1.4.1.1.88.33", ContentSequence=[item])
    del ds.PixelData
    save(ds, tmp_path / "in" / "a")
    assert not copies(tmp_path / "in", place)
    (copy,) = copies(tmp_path / "in", place, "--clean-structured-content")
    assert not copy.ContentSequence


def test_regions_are_blanked_and_authorities_named(tmp_path: Path, place: Path) -> None:
    device = {"Manufacturer": "ACME", "ManufacturerModelName": "S"}
    save(an_object(BurnedInAnnotation="YES", **device), tmp_path / "in" / "a")
    (tmp_path / "r.toml").write_text(
        "[[device]]\nmanufacturer='ACME'\nmodel='S'\nregions=[[0, 0, 8, 2]]\n"
    )
    assert not copies(tmp_path / "in", place)
    options = ("--clean-pixels", str(tmp_path / "r.toml"), "--authority", "HOSP")
    (copy,) = copies(tmp_path / "in", place, *options)
    assert copy.PixelData[:16] == bytes(16)
    secret = Secret.load()
    assert copy.PatientID == pseudonym(secret, "patient", "HOSP", "CANARYID")


def test_dates_cannot_be_kept_and_moved(
    archive: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["--retain-full-dates", "--modified-dates"]
    out = place.parent / "out"
    assert run(["export", "dicom", str(archive), str(out), "-w", str(place), *both]) == 2
    assert "cannot be both kept and moved" in capsys.readouterr().err

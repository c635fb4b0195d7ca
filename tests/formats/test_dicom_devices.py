"""Makers and models stay where they are known; what else stands in their place does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from lakehouse.batch import Source
from lakehouse.errors import DefinitionError
from lakehouse.export.object_deidentifier import ObjectDeidentifier
from lakehouse.formats.dicom import FORMAT
from lakehouse.formats.dicom.vocabulary import devices
from lakehouse.formats.dicom.vocabulary.devices import add_site_devices, is_maker, is_model
from lakehouse.privacy.keys.secret import Secret

MAKERS = """SIEMENS|Siemens Healthineers|GE MEDICAL SYSTEMS|G.E. Medical Systems|GE Marquette
Philips|Philips Medical Systems, Inc.|TOSHIBA_MEC|Canon Medical Systems Corporation|HITACHI, Ltd.
UIH|Agfa-Gevaert AG|SonoSite, Inc.|Carl Zeiss Meditec AG|Kuratorium OFFIS e.V.|FUJIFILM Corporation
""".replace("\n", "|").strip("|").split("|")  # fmt: skip

MODELS = """LightSpeed VCT|Discovery STE|LOGIQ 700|Signa HDxt|Eclipse 1.5T|CX50|iU22|Aera|Prisma_fit
SOMATOM Definition AS+|Biograph64_mCT|MRT50H1|ADC_5146|Ingenuity TF PET/CT|e.cam|EPIQ 7G|M-Turbo
Brilliance 64|TrueBeam STx|DRX-Revolution|Vivid E95|Symbia T16|Lunar iDXA|Selenia Dimensions
""".replace("\n", "|").strip("|").split("|")  # fmt: skip

PEOPLE = """JOHN SMITH|SMITH|SMITH^JOHN|Smith, J.|DR LEE|SIEMENS SMITH|MARY 3|SMITH 1.5T|LEE KIM
123456|1958|78051120|PAT 77|call Jane|jane@x.org|Scanner of Dr Brown|MRN 12|GE JOHN SMITH
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@pytest.fixture
def site() -> Iterator[None]:
    """Forget afterwards what a site's list added."""
    yield
    devices._site.clear()
    add_site_devices.cache_clear()
    is_maker.cache_clear()
    is_model.cache_clear()


@pytest.mark.parametrize("name", MAKERS)
def test_known_makers_stay(name: str) -> None:
    assert is_maker(name)


@pytest.mark.parametrize("name", MODELS)
def test_models_stay(name: str) -> None:
    assert is_model(name)


@pytest.mark.parametrize("name", PEOPLE)
def test_people_and_numbers_go(name: str) -> None:
    assert not is_maker(name)
    assert not is_model(name)


def rows_and_copy(path: Path, secret: Secret, *folders: str) -> tuple[list[str | None], list[str]]:
    """Return maker and model as rows and as a copy have them."""
    ds = Dataset()
    ds.PatientID, ds.Modality = "P", "US"
    ds.Manufacturer, ds.ManufacturerModelName = "Kontrast Ultraschall AG", "Elfriede 2"
    ds.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    with path.open("rb") as stream:
        (batch,) = FORMAT.parse(stream, Source("0" * 32, mappings=folders))
    (row,) = batch.tables["imaging_instances"].to_pylist()
    ObjectDeidentifier(secret)(ds)
    copied = [k for k in ("Manufacturer", "ManufacturerModelName") if k in ds]
    return [row["manufacturer"], row["model"]], copied


@pytest.mark.usefixtures("site")
def test_a_site_adds_its_own_to_rows_and_copies(tmp_path: Path, secret: Secret) -> None:
    assert rows_and_copy(tmp_path / "a", secret) == ([None, None], [])
    (tmp_path / "devices.csv").write_text(
        "# ours\nword,kind\nKontrast,maker\nUltraschall,firm\nElfriede,model\n"
    )
    rows, copied = rows_and_copy(tmp_path / "a", secret, str(tmp_path))
    assert rows == ["Kontrast Ultraschall AG", "Elfriede 2"]
    assert copied == ["Manufacturer", "ManufacturerModelName"]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    "text", ["word\nKontrast\n", "word,kind\nKontrast,people\n", "word,kind\n,maker\n"]
)
def test_a_list_at_fault_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "devices.csv").write_text(text)
    with pytest.raises(DefinitionError, match="no word of a device"):
        add_site_devices((str(tmp_path),))

"""Whole files: what is written, what is refused, and that no token of identity survives."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from lakehouse.batch import Source
from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.errors import UserError
from lakehouse.export import Options, export_dicom
from lakehouse.formats.dicom import FORMAT
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.identity.pseudonyms import new_uid, offset_days, pseudonym
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from tests.export.small_objects import an_object, exported, save

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
TOKENS = (b"CANARY", b"1.2.826.77", b"19581231", b"20240229")
"""What must never be seen again: names and texts, UIDs, a birth date, an event's date."""


def canaries(level: Dataset, depth: int) -> None:
    """Put a token into every element of the table that can hold one, at several depths."""
    for row in read_rows(resource("catalog/dicom") / "confidentiality.csv"):
        if "x" in row["tag"] or row["tag"] == "private" or row["tag"].startswith(("0000", "0002")):
            continue
        tag = int(row["tag"], 16)
        vr = pydicom.datadict.dictionary_VR(tag).split(" or ")[0]
        if tag in level or vr not in (
            "AE",
            "CS",
            "LO",
            "LT",
            "PN",
            "SH",
            "ST",
            "UC",
            "UT",
            "UI",
            "DA",
        ):
            continue
        value = {"UI": f"1.2.826.77.{tag}", "DA": "20240229"}.get(vr, "CANARY" + row["tag"])
        level.add(DataElement(tag, vr, value))
    level.add(DataElement(0x00090010, "LO", "CANARYCREATOR"))
    level.add(DataElement(0x00091001, "LO", "CANARYPRIVATE"))
    level.add(DataElement(0x00089999, "LO", "CANARYUNKNOWN"))
    level.add(DataElement(0x60000022, "LO", "CANARYOVERLAY"))
    level.add(DataElement(0x60004000, "LT", "CANARYOVERLAY"))
    level.add(DataElement(0x60003000, "OW", b"CANARYOVERLAY!"))
    level.add(DataElement(0x50003000, "OW", b"CANARYCURVE!"))
    if depth:
        for tag in (0x52009229, 0x00081140, 0x00400275, 0x00081115):
            inner = Dataset()
            canaries(inner, depth - 1)
            level.add(DataElement(tag, "SQ", [inner]))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects with a token in every place that can hold one."""
    folder = tmp_path_factory.mktemp("CANARYFOLDER")
    for number, syntax in enumerate((ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian), 1):
        ds = an_object(number, syntax=syntax)
        canaries(ds, depth=2)
        ds.SOPInstanceUID, ds.StudyInstanceUID = f"1.2.826.77.1.1.{number}", "1.2.826.77.1"
        ds.BurnedInAnnotation = "NO"
        ds.file_meta.add(DataElement(0x00020016, "AE", "CANARYAE"))
        ds.file_meta.add(DataElement(0x00020100, "UI", "1.2.826.77.9"))
        ds.file_meta.add(DataElement(0x00020102, "OB", b"CANARYMETA"))
        ds.preamble = b"CANARY".ljust(128, b"\0")
        save(ds, folder / "CANARYNAME" / f"CANARY{number}.dcm")
    return folder


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of all files, deflated ones inflated as well."""
    for path in sorted(folder.rglob("*")):
        yield "name", str(path.relative_to(folder)).encode()
        if path.is_file():
            data = path.read_bytes()
            yield "bytes", data
            if DeflatedExplicitVRLittleEndian.encode() in data[:400]:
                meta = pydicom.filereader.read_file_meta_info(path)
                start = 132 + 12 + meta.FileMetaInformationGroupLength
                yield "inflated", zlib.decompressobj(-15).decompress(data[start:])


SETS = [
    Options(),
    Options(modified_dates=False),
    Options(descriptors=True, structured_content=True, graphics=True, safe_private=True),
]


@pytest.mark.slow
@pytest.mark.parametrize("options", SETS, ids=["default", "no dates", "cleaned"])
def test_no_token_survives_in_exported_files(
    corpus: Path, tmp_path: Path, secret: Secret, options: Options
) -> None:
    report = export_dicom(corpus, tmp_path / "out", secret, options=options)
    assert report.n_exported == 2
    seen = 0
    for kind, data in everything(tmp_path / "out"):
        for token in TOKENS:
            assert token not in data, (kind, token, data[max(data.find(token) - 40, 0) :][:80])
        seen += 1
    assert seen > 6


RETAINED = ("uids", "device", "institution", "patient_characteristics", "full_dates")


@pytest.mark.parametrize("option", RETAINED)
def test_what_is_retained_survives_and_nothing_else(
    corpus: Path, tmp_path: Path, secret: Secret, option: str
) -> None:
    options = Options(**{option: True, "modified_dates": option != "full_dates"})
    assert export_dicom(corpus, tmp_path / "out", secret, options=options).n_exported == 2
    table = read_rows(resource("catalog/dicom") / "confidentiality.csv")
    kept = {row["tag"] for row in table if row[option] == "K"}
    left: set[str] = set()
    left_dates: set[str] = set()
    for _, data in everything(tmp_path / "out"):
        left |= {found.decode() for found in re.findall(rb"CANARY([0-9A-F]{8})", data)}
        assert not re.search(rb"CANARY(?![0-9A-F]{8})", data)
        uids = {int(found) for found in re.findall(rb"1\.2\.826\.77\.(\d+)", data)}
        assert option == "uids" or {f"{uid:08X}" for uid in uids} <= kept
    for path in exported(tmp_path / "out"):
        for element in pydicom.dcmread(path).iterall():
            if element.VR == "DA" and "20240229" in str(element.value):
                left_dates.add(f"{int(element.tag):08X}")
    assert left_dates <= kept
    assert bool(left_dates) == (option in ("full_dates", "device"))
    assert left <= kept
    assert bool(left) == (option in ("device", "institution", "patient_characteristics"))


def test_no_token_survives_in_rows(corpus: Path, secret: Secret) -> None:
    deidentify = Deidentifier(load_policy("safe_harbor"), secret)
    for path in sorted(corpus.rglob("*.dcm")):
        with path.open("rb") as stream:
            for batch in FORMAT.parse(stream, Source("0" * 32)):
                for name, table in deidentify(batch).tables.items():
                    sink = io.BytesIO()
                    with pa.ipc.new_stream(sink, table.schema) as writer:
                        writer.write_table(table)
                    for token in TOKENS[:2]:
                        assert token not in sink.getvalue(), (name, token)
                    assert "2024-02-29" not in str(table.to_pylist())


def test_copies_agree_with_the_tables(tmp_path: Path, secret: Secret) -> None:
    save(an_object(IssuerOfPatientID="HOSP"), tmp_path / "in" / "a")
    export_dicom(tmp_path / "in", tmp_path / "out", secret)
    (path,) = exported(tmp_path / "out")
    ds = pydicom.dcmread(path)
    with (tmp_path / "in" / "a").open("rb") as stream:
        (batch,) = FORMAT.parse(stream, Source("0" * 32))
    (row,) = (
        Deidentifier(load_policy("safe_harbor"), secret)(batch)
        .tables["imaging_instances"]
        .to_pylist()
    )
    assert ds.PatientID == row["patient_id"] == pseudonym(secret, "patient", "HOSP", "CANARYID")
    assert ds.StudyInstanceUID == row["study_uid"] == new_uid(secret, "1.2.826.77.1")
    assert ds.SOPInstanceUID == row["instance_uid"] == path.stem
    assert ds.StudyDate == row["study_at"].strftime("%Y%m%d")
    assert ds.AccessionNumber == row["accession_id"][:16]
    assert path.parts[-4] == row["patient_id"]


def test_it_is_the_same_again_and_in_another_process(tmp_path: Path, key_file: Path) -> None:
    secret = Secret.load(key_file)
    for number in (1, 2):
        save(an_object(number), tmp_path / "in" / str(number))
    export_dicom(tmp_path / "in", tmp_path / "one", secret)
    export_dicom(tmp_path / "in" / "2", tmp_path / "two", secret)
    report = export_dicom(tmp_path / "in" / "2", tmp_path / "two", secret)
    assert report.n_replaced == 1
    (path,) = exported(tmp_path / "two")
    path.unlink()
    program = (
        "import sys; from pathlib import Path; from lakehouse.export import export_dicom;"
        "from lakehouse.privacy.keys.secret import Secret;"
        "export_dicom(sys.argv[1], sys.argv[2], Secret.load(Path(sys.argv[3])))"
    )
    places = (tmp_path / "in" / "2", tmp_path / "two", key_file)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", program, *map(str, places)], env=environment, check=True)
    (again,) = exported(tmp_path / "two")
    twin = tmp_path / "one" / again.relative_to(tmp_path / "two")
    assert twin.read_bytes() == again.read_bytes()
    assert len(exported(tmp_path / "one")) == 2


def test_meta_and_preamble_are_ours(corpus: Path, tmp_path: Path, secret: Secret) -> None:
    export_dicom(corpus, tmp_path / "out", secret)
    for path in exported(tmp_path / "out"):
        ds = pydicom.dcmread(path)
        assert ds.preamble == bytes(128)
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert {e.tag.element for e in ds.file_meta} == {0, 1, 2, 3, 0x10, 0x12, 0x13}


def test_dates_cannot_be_kept_and_moved() -> None:
    with pytest.raises(UserError):
        Options(full_dates=True)


def test_age_is_top_coded_even_where_it_is_kept(tmp_path: Path, secret: Secret) -> None:
    save(an_object(PatientAge="093Y", PatientBirthDate=""), tmp_path / "in" / "a")
    options = Options(patient_characteristics=True)
    export_dicom(tmp_path / "in", tmp_path / "out", secret, options=options)
    (path,) = exported(tmp_path / "out")
    assert pydicom.dcmread(path).PatientAge == "090Y"
    assert pydicom.dcmread(path).PatientSex == "F"


def test_reports_lose_their_texts(tmp_path: Path, secret: Secret) -> None:
    items = []
    for kind, keyword, value in (
        ("TEXT", "TextValue", "CANARY"),
        ("PNAME", "PersonName", "CANARY"),
        ("DATE", "Date", "20240229"),
        ("UIDREF", "UID", "1.2.826.77.5"),
    ):
        item = Dataset()
        item.ValueType, item.RelationshipType = kind, "CONTAINS"
        setattr(item, keyword, value)
        items.append(item)
    ds = an_object(sop_class="1.2.840.10008.5.1.4.1.1.88.33", ContentSequence=items)
    del ds.PixelData
    save(ds, tmp_path / "in" / "a")
    options = Options(structured_content=True)
    assert export_dicom(tmp_path / "in", tmp_path / "out", secret, options=options).n_exported == 1
    (path,) = exported(tmp_path / "out")
    left = pydicom.dcmread(path).ContentSequence
    assert [i.ValueType for i in left] == ["DATE", "UIDREF"]
    days = offset_days(secret, "", "CANARYID")
    assert left[0].Date != "20240229"
    assert days > 36_000
    wanted = new_uid(secret, "1.2.826.77.5")
    assert wanted == left[1].UID


def test_archives_are_unpacked_and_other_files_passed_over(tmp_path: Path, secret: Secret) -> None:
    save(an_object(), tmp_path / "object")
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "CANARY.zip", "w") as archive:
        archive.write(tmp_path / "object", "CANARY/a")
        archive.writestr("notes.txt", "CANARY")
    report = export_dicom(tmp_path / "in", tmp_path / "out", secret)
    assert report.outcomes == {("exported", ""): 1, ("skipped", "not DICOM"): 1}


@pytest.mark.slow
def test_every_sample_is_written_or_refused(
    shared_data: Path, tmp_path: Path, secret: Secret
) -> None:
    everything_on = Options(structured_content=True, graphics=True, descriptors=True)
    report = export_dicom(shared_data / "dicom", tmp_path / "out", secret, options=everything_on)
    assert report.n_files >= 300
    assert report.n_exported > 80
    assert sum(report.outcomes.values()) == report.n_files
    for path in exported(tmp_path / "out"):
        ds = pydicom.dcmread(path)
        assert not [e for e in ds.iterall() if e.tag.is_private]
        assert ds.PatientIdentityRemoved == "YES"
        assert ds.SOPInstanceUID.startswith("2.25.")


def test_a_number_with_a_backslash_is_read_as_the_tables_read_it(
    tmp_path: Path, secret: Secret
) -> None:
    save(an_object(PatientID="A1\\B2", IssuerOfPatientID="H\\I"), tmp_path / "in" / "a")
    export_dicom(tmp_path / "in", tmp_path / "out", secret)
    (path,) = exported(tmp_path / "out")
    with (tmp_path / "in" / "a").open("rb") as stream:
        (batch,) = FORMAT.parse(stream, Source("0" * 32))
    clean = Deidentifier(load_policy("safe_harbor"), secret)(batch)
    assert pydicom.dcmread(path).PatientID == clean.tables["patients"]["patient_id"][0].as_py()


def test_an_object_without_a_patient_has_a_folder_of_its_own(
    tmp_path: Path, secret: Secret
) -> None:
    save(an_object(PatientID="", AccessionNumber=" "), tmp_path / "in" / "a")
    export_dicom(tmp_path / "in", tmp_path / "out", secret)
    (path,) = exported(tmp_path / "out")
    assert path.parts[-4] == "no-patient"
    assert not pydicom.dcmread(path).StudyDate


def test_what_swells_beyond_measure_is_refused_in_bounded_memory(
    tmp_path: Path, secret: Secret
) -> None:
    ds = an_object(syntax=DeflatedExplicitVRLittleEndian, Rows=16000, Columns=16000)
    ds.PixelData = bytes(16000 * 16000)
    save(ds, tmp_path / "in" / "bomb")
    del ds
    assert (tmp_path / "in" / "bomb").stat().st_size < 1 << 20
    tracemalloc.start()
    report = export_dicom(tmp_path / "in", tmp_path / "out", secret)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.outcomes == {("refused", "a packed object that swells beyond measure"): 1}
    assert peak < 32 << 20

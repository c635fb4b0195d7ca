"""The synthetic radiology: readable by others, the same each time, and joined to the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

import lakehouse
from lakehouse import synth
from lakehouse.cli import run
from lakehouse.privacy.keys.secret import Secret


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    clean = synth.Options(malformed=0, duplicates=0, late=0)
    synth.write(folder, 12, years=2, formats=["hl7v2", "dicom"], options=clean)
    return folder


@pytest.fixture(scope="module")
def warehouse(hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The hospital in a warehouse; with its key."""
    place = tmp_path_factory.mktemp("place")
    Secret.create(place / "key")
    lakehouse.init(place / "warehouse", key_file=place / "key")
    lakehouse.ingest(
        hospital,
        place / "warehouse",
        engine="local",
        key_file=place / "key",
        show_progress=False,
    )
    return place / "warehouse", place / "key"


def objects(folder: Path) -> list[Path]:
    return sorted(p for p in (folder / "dicom").rglob("*") if p.is_file() and p.suffix != ".json")


def test_pydicom_reads_every_object(hospital: Path) -> None:
    modalities = set()
    for path in objects(hospital):
        ds = pydicom.dcmread(path)
        modalities.add(ds.Modality)
        assert ds.PatientID
        assert ds.AccessionNumber
        if "PixelData" in ds:
            frames = int(ds.get("NumberOfFrames", 1))
            assert len(ds.PixelData) == ds.Rows * ds.Columns * ds.SamplesPerPixel * frames
    assert {"CT", "SR", "US"} <= modalities


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        synth.write(tmp_path / name, 4, years=1, formats=["dicom"])
    first = {p.relative_to(tmp_path / "a"): p.read_bytes() for p in objects(tmp_path / "a")}
    second = {p.relative_to(tmp_path / "b"): p.read_bytes() for p in objects(tmp_path / "b")}
    assert first
    assert first == second


def test_metadata_lines_are_json(hospital: Path) -> None:
    for path in (hospital / "dicom").glob("*.json"):
        for line in path.read_text().splitlines():
            assert json.loads(line)["study_instance_uid"].startswith("2.25.")


def test_images_orders_and_results_are_one(warehouse: tuple[Path, Path], hospital: Path) -> None:
    with lakehouse.open(warehouse[0]) as lake:
        stages = dict(
            lake.sql("SELECT stage, count(*) AS n FROM imaging_orders GROUP BY stage").fetchall()
        )
        assert set(stages) == {"reported"}
        strangers = lake.sql(
            "SELECT count(*) FROM imaging_studies AS s ANTI JOIN encounters_current AS e"
            " ON s.patient_id = e.patient_id"
        ).fetchall()
        assert strangers == [(0,)]
        for column, table in (
            ("order_id", "orders"),
            ("placer_order_id", "orders"),
            ("accession_id", "orders"),
            ("encounter_id", "encounters"),
        ):
            apart = lake.sql(
                f"SELECT count(*), count({column}) FROM imaging_instances AS i"
                f" WHERE sop_class IS NOT NULL AND {column} NOT IN"
                f" (SELECT {column} FROM {table} WHERE {column} IS NOT NULL)"
            ).fetchall()
            known = lake.sql(f"SELECT count({column}) FROM imaging_instances").fetchall()
            assert apart == [(0, 0)], column
            assert known[0][0] > 100, column
        hours = lake.sql(
            "SELECT count(*) FROM imaging_orders WHERE hours_to_study < 0 OR hours_to_report < 0"
        ).fetchall()
        assert hours == [(0,)]
        doses = lake.sql("SELECT sum(n_events) FROM dose_by_protocol WHERE kind = 'ct'").fetchall()
        reports = sum(p.name.startswith("SR") for p in objects(hospital))
        assert doses[0][0] >= reports > 0


def test_no_name_of_a_patient_is_in_the_warehouse(
    warehouse: tuple[Path, Path], hospital: Path
) -> None:
    tokens = set()
    for path in objects(hospital)[:40]:
        ds = pydicom.dcmread(path)
        tokens |= {str(ds.PatientID).encode(), str(ds.AccessionNumber).encode()}
    with lakehouse.open(warehouse[0]) as lake:
        for table in ("imaging_instances", "imaging_reports", "radiation_events", "patients"):
            text = str(lake.sql(f"SELECT * FROM {table}").fetchall()).encode()
            assert not [t for t in tokens if t in text]


def test_export_from_the_command_line(
    warehouse: tuple[Path, Path], hospital: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, key = warehouse
    arguments = ["export", "dicom", str(hospital / "dicom"), str(tmp_path / "out")]
    arguments += ["--warehouse", str(place), "--key-file", str(key), "--retain-device"]
    assert run(arguments) == 0
    told = capsys.readouterr()
    assert "Exported" in told.out + told.err
    assert "burned-in identity" in told.out + told.err
    copies = sorted((tmp_path / "out").rglob("*.dcm"))
    assert copies
    with lakehouse.open(place) as lake:
        known = {u for (u,) in lake.sql("SELECT instance_uid FROM imaging_instances").fetchall()}
        patients = {p for (p,) in lake.sql("SELECT patient_id FROM imaging_instances").fetchall()}
    for path in copies:
        ds = pydicom.dcmread(path)
        assert ds.SOPInstanceUID in known
        assert ds.PatientID in patients
        assert ds.StationName
        assert not [e for e in ds.iterall() if e.tag.is_private]


def test_full_dates_and_moved_dates_exclude_each_other(
    warehouse: tuple[Path, Path], hospital: Path, tmp_path: Path
) -> None:
    place, key = warehouse
    arguments = ["export", "dicom", str(hospital / "dicom"), str(tmp_path / "out")]
    arguments += ["--warehouse", str(place), "--key-file", str(key)]
    assert run([*arguments, "--retain-full-dates", "--modified-dates"]) == 2


def test_verify_finds_no_token_of_the_archive(
    warehouse: tuple[Path, Path], hospital: Path, tmp_path: Path
) -> None:
    tokens = set()
    for path in objects(hospital)[::7]:
        ds = pydicom.dcmread(path)
        tokens |= {str(ds.SOPInstanceUID), str(ds.StudyInstanceUID), str(ds.DeviceSerialNumber)}
        tokens.add(str(ds.PatientName).strip("^"))
    # shorter ones occur in keyed digests by chance
    lines = sorted(t for t in tokens if len(t) > 12 and t.isascii())
    assert len(lines) > 50
    (tmp_path / "tokens").write_text("\n".join(lines))
    arguments = ["verify", "--tokens", str(tmp_path / "tokens"), "--control"]
    assert run([*arguments, str(hospital / "dicom"), "--warehouse", str(warehouse[0])]) == 0

"""Writes DICOM: CT, MR, CR, DX, MG and US studies, CT dose reports, and metadata lines.

The images are small (pixels of 16 by 16) and few a series, so that an archive of many studies
stays small; everything else is as a machine writes it, names in files and folders included.
Studies of modalities that are kept elsewhere (PET, angiography) come as flat metadata, one JSON
object a line, with the size they really have.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from lakehouse.synth.catalog import keyed
from lakehouse.synth.chance import between, stream
from lakehouse.synth.clock import DAY, day, stamp
from lakehouse.synth.events import ImagingStudy
from lakehouse.synth.life import Patient
from lakehouse.synth.people import HOSPITALS
from lakehouse.synth.writers import Options
from lakehouse.synth.writers.dicom.dose import DOSE_REPORT, Event, content
from lakehouse.synth.writers.dicom.encode import part10
from lakehouse.synth.writers.dicom.modalities import MAKES, SOP_CLASSES, acquisition, description

IMAGES = 3
"""Most images of a series."""

SIDE = 16
REGIONS = {
    "HEAD": ("T-D1100", "Head"),
    "CHEST": ("T-D3000", "Chest"),
    "ABDOMEN": ("T-D4000", "Abdomen"),
}

Values = dict[int, tuple[str, Any]]


class DICOMWriter:
    """Writes the DICOM objects of radiology."""

    name = "dicom"
    doc = "DICOM studies (CT, MR, CR, DX, MG, US), CT dose reports, and metadata lines."

    def write(
        self, folder: Path, lives: Sequence[Patient], part: int, options: Options
    ) -> Mapping[str, int]:
        """Write the studies of some patients."""
        counts: Counter[str] = Counter()
        lines: list[str] = []
        for life in lives:
            for study in life.imaging:
                modality = keyed("imaging")[study.key]["modality"]
                rng = stream(life.seed, life.index, "dicom", study.accession)
                counts["studies"] += 1
                if modality not in SOP_CLASSES:
                    lines.append(json.dumps(_metadata(life, study, modality, rng)))
                    continue
                where = folder / _number(life, study) / study.accession
                where.mkdir(parents=True, exist_ok=True)
                for n, (name, data) in enumerate(_objects(life, study, modality, rng), 1):
                    if n == 2 and rng.random() < options.malformed:
                        data = data[: len(data) // 2]
                    (where / name).write_bytes(data)
                    counts["files"] += 1
        if lines:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"metadata-{part:04d}.json").write_text("\n".join(lines) + "\n", "utf-8")
            counts["files"] += 1
        return counts


def _number(life: Patient, study: ImagingStudy) -> str:
    return life.person.identities[study.encounter.identity].number


def _common(life: Patient, study: ImagingStudy, modality: str) -> Values:
    """Return the attributes common to all objects of a study."""
    person, spec = life.person, keyed("imaging")[study.key]
    identity = person.identities[study.encounter.identity]
    make, model = MAKES[modality]
    begun, doctor = stamp(study.started), study.referring
    place = HOSPITALS[study.encounter.hospital]
    return {
        0x00080005: ("CS", "ISO_IR 192"),
        0x00080020: ("DA", begun[:8]),
        0x00080030: ("TM", begun[8:]),
        0x00080050: ("SH", study.accession),
        0x00080070: ("LO", make),
        0x00080080: ("LO", place),
        0x00080090: ("PN", f"{doctor.family}^{doctor.given}^^^{doctor.degree}"),
        0x00080201: ("SH", "+0000"),
        0x00081010: ("SH", spec["room"]),
        0x00081030: ("LO", spec["text"]),
        0x00081060: ("PN", f"{study.radiologist.family}^{study.radiologist.given}"),
        0x00081090: ("LO", model),
        0x00100010: ("PN", f"{person.family}^{person.given}^{person.middle}"),
        0x00100020: ("LO", identity.number),
        0x00100021: ("LO", identity.authority),
        0x00100030: ("DA", day(person.birth)),
        0x00100040: ("CS", person.sex if person.sex in ("F", "M") else "O"),
        0x00101010: ("AS", f"{min(person.age(study.started), 999):03d}Y"),
        0x00181000: ("LO", f"SN-{place}-{spec['room']}"),
        0x00181030: ("LO", spec["protocol"]),
        0x0020000D: ("UI", study.uid),
        0x00200010: ("SH", study.accession),
        0x00380010: ("LO", study.encounter.number),
        0x00380014: ("SQ", [{0x00400031: ("UT", place)}]),
        0x00400275: ("SQ", [_request(study, place)]),
        0x00090010: ("LO", "ACME PRIVATE"),
        0x00091001: ("LO", f"{person.family}, {person.given}"),
    }


def _request(study: ImagingStudy, place: str) -> Values:
    """Return the order numbers of the HL7 order with their issuers."""
    return {
        0x00400026: ("SQ", [{0x00400031: ("UT", f"{place}OE")}]),
        0x00400027: ("SQ", [{0x00400031: ("UT", f"{place}RIS")}]),
        0x00402016: ("LO", study.placer),
        0x00402017: ("LO", study.accession),
    }


def _objects(
    life: Patient, study: ImagingStudy, modality: str, rng: Random
) -> Iterator[tuple[str, bytes]]:
    """Yield file name and bytes of each object of a study."""
    spec, common = keyed("imaging")[study.key], _common(life, study, modality)
    events: list[Event] = []
    number = 0
    step = max((study.finished - study.started) // max(int(spec["series"]), 1), 1)
    for series in range(int(spec["series"])):
        uid, started = f"{study.uid}.{series + 1}", study.started + series * step
        values = acquisition(modality, spec, series, study.contrast, rng)
        label = description(modality, series, spec["protocol"])
        for image in range(min(int(spec["images"]), IMAGES)):
            number += 1
            yield (
                f"IM{number:04d}",
                _image(
                    common | values,
                    modality,
                    f"{uid}.{image + 1}",
                    uid,
                    label,
                    series,
                    image,
                    started,
                ),
            )
        if modality == "CT" and series:
            index = float(values[0x00189345][1])
            length = between(rng, 12, 45)
            events.append(
                (f"{uid}.99", spec["protocol"], index, index * length, float(values[0x00180060][1]))
            )
    if events:
        uid = f"{study.uid}.90"
        finished = stamp(study.finished)
        report = common | content(events, REGIONS.get(spec["body_part"], ("T-D0010", "Body")))
        report |= {
            0x00080016: ("UI", DOSE_REPORT),
            0x00080018: ("UI", f"{uid}.1"),
            0x00080023: ("DA", finished[:8]),
            0x00080033: ("TM", finished[8:]),
            0x00080060: ("CS", "SR"),
            0x0020000E: ("UI", uid),
            0x00200011: ("IS", "990"),
            0x00200013: ("IS", "1"),
        }
        yield "SR0001", part10(DOSE_REPORT, f"{uid}.1", report, spec["room"])


def _image(
    values: Values, modality: str, uid: str, series_uid: str, label: str, series: int, image: int,
    started: int,
) -> bytes:  # fmt: skip
    time = stamp(started + image)
    colours = 3 if modality == "US" else 1
    frames = int(values.get(0x00280008, ("IS", "1"))[1])
    values = values | {
        0x00080008: ("CS", ["ORIGINAL", "PRIMARY", "LOCALIZER" if "ocal" in label else "AXIAL"]),
        0x00080016: ("UI", SOP_CLASSES[modality]),
        0x00080018: ("UI", uid),
        0x00080021: ("DA", stamp(started)[:8]),
        0x00080031: ("TM", stamp(started)[8:]),
        0x00080022: ("DA", time[:8]),
        0x00080032: ("TM", time[8:]),
        0x00080023: ("DA", time[:8]),
        0x00080033: ("TM", time[8:]),
        0x00080060: ("CS", modality),
        0x0008103E: ("LO", label),
        0x0020000E: ("UI", series_uid),
        0x00200011: ("IS", str(series + 1)),
        0x00200013: ("IS", str(image + 1)),
        0x00280002: ("US", colours),
        0x00280004: ("CS", "RGB" if colours == 3 else "MONOCHROME2"),
        0x00280010: ("US", SIDE),
        0x00280011: ("US", SIDE),
        0x00280100: ("US", 8),
        0x00280101: ("US", 8),
        0x00280102: ("US", 7),
        0x00280103: ("US", 0),
        0x7FE00010: ("OB", bytes([image % 256]) * (SIDE * SIDE * colours * frames)),
    }
    if colours == 3:
        values[0x00280006] = ("US", 0)
    return part10(SOP_CLASSES[modality], uid, values, "STORESCU")


def _metadata(life: Patient, study: ImagingStudy, modality: str, rng: Random) -> dict[str, Any]:
    """Return one line of flat metadata."""
    spec, person = keyed("imaging")[study.key], life.person
    identity = person.identities[study.encounter.identity]
    frames = int(spec["images"]) * int(spec["series"])
    return {
        "study_instance_uid": study.uid,
        "series_instance_uid": f"{study.uid}.1",
        "sop_instance_uid": f"{study.uid}.1.1",
        "patient_id": identity.number,
        "issuer_of_patient_id": identity.authority,
        "patient_name": f"{person.family}^{person.given}",
        "patient_birth_date": day(person.birth),
        "patient_sex": person.sex,
        "accession_number": study.accession,
        "modality": modality,
        "manufacturer": MAKES[modality][0],
        "body_part_examined": spec["body_part"],
        "number_of_frames": frames,
        "file_size_mb": round(frames * between(rng, 0.1, 0.5), 1),
        "study_date": day(study.started),
        "study_time": stamp(study.started)[8:],
        "series_description": spec["protocol"],
        "study_status": "COMPLETED" if study.reported - study.finished < DAY else "READ",
    }


WRITER = DICOMWriter()

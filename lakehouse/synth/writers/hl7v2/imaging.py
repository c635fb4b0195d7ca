"""Writes radiology orders (ORM) and reports (ORU), with the accession number of the images."""

from __future__ import annotations

from lakehouse.synth.catalog import keyed
from lakehouse.synth.clock import MINUTE, stamp
from lakehouse.synth.events import ImagingStudy
from lakehouse.synth.people import HOSPITALS
from lakehouse.synth.writers.hl7v2.feeds import FEEDS, coded, escape
from lakehouse.synth.writers.hl7v2.scribe import Scribe


def write(scribe: Scribe) -> None:
    """Write the order and the reports of every study."""
    for study in scribe.life.imaging:
        _ordered(scribe, study)
        if study.reported - study.finished > 120 * MINUTE:
            _report(scribe, study, study.finished + 30 * MINUTE, "P")
        _report(scribe, study, study.reported, "F")
        if study.corrected:
            _report(scribe, study, study.corrected, "C")


def _request(scribe: Scribe, study: ImagingStudy, reported: str, status: str) -> str:
    """Return the OBR: OBR-18 carries the accession number, as does the filler number."""
    spec, place = keyed("imaging")[study.key], HOSPITALS[study.encounter.hospital]
    code = f"{spec['cpt']}^{escape(spec['text'])}^C4^{spec['loinc']}^{escape(spec['text'])}^LN"
    doctor = scribe.provider(study.referring)
    urgent = "S" if study.encounter.kind == "E" else "R"
    results = f"{reported}||{spec['modality']}|{status}" if status else f"||{spec['modality']}|"
    reader = (
        f"|||||{coded(study.reason)}|{study.radiologist.number}&{study.radiologist.family}"
        f"&{study.radiologist.given}" if status else f"|||||{coded(study.reason)}"
    )  # fmt: skip
    return (
        f"OBR|1|{study.placer}^{place}OE|{study.accession}^{place}RIS|{code}|{urgent}"
        f"|{stamp(study.ordered)}|{stamp(study.started)}|{stamp(study.finished)}||||||||{doctor}"
        f"||{study.accession}|||{study.uid}|{results}|{reader}\r"
    )


def _ordered(scribe: Scribe, study: ImagingStudy) -> None:
    place, time = HOSPITALS[study.encounter.hospital], study.ordered
    body = (
        scribe.patient(study.encounter, time) + scribe.visit(study.encounter, time)
        + f"ORC|NW|{study.placer}^{place}OE|{study.accession}^{place}RIS||SC||||{stamp(time)}"
        f"|||{scribe.provider(study.referring)}\r" + _request(scribe, study, "", "")
        + f"NTE|1|P|Please call {escape(scribe.person.relatives[0].given)} at "
        f"{scribe.person.relatives[0].phone} when done.\r"
    )  # fmt: skip
    scribe.send(FEEDS["radiology"], time, "ORM^O01^ORM_O01", body)


def _report(scribe: Scribe, study: ImagingStudy, time: int, status: str) -> None:
    place = HOSPITALS[study.encounter.hospital]
    body = scribe.patient(study.encounter, time) + scribe.visit(study.encounter, time)
    body += (
        f"ORC|RE|{study.placer}^{place}OE|{study.accession}^{place}RIS||CM||||"
        f"{stamp(study.ordered)}|||{scribe.provider(study.referring)}\r"
    )
    body += _request(scribe, study, stamp(time), status)
    for number, line in enumerate(study.findings, 1):
        body += (
            f"OBX|{number}|TX|18782-3^Radiology Study observation (narrative)^LN|1"
            f"|{escape(line)}||||||{status}|||{stamp(study.finished)}\r"
        )
    body += (
        f"OBX|{len(study.findings) + 1}|FT|19005-8^Radiology Imaging study \\E\\[Impression\\E\\] "
        f"(narrative)^LN|1|{escape(study.findings[1])}\\.br\\Electronically signed by "
        f"{escape(study.radiologist.given)} {escape(study.radiologist.family)}||||||{status}"
        f"|||{stamp(study.finished)}\r"
    )
    scribe.send(FEEDS["radiology"], time, "ORU^R01^ORU_R01", body, spare=status == "P")

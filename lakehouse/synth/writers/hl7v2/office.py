"""Writes appointments (SIU), charges (DFT) and documents (MDM)."""

from __future__ import annotations

from itertools import groupby

from lakehouse.synth.clock import MINUTE, stamp
from lakehouse.synth.events import Appointment, Charge, Document
from lakehouse.synth.people import HOSPITALS
from lakehouse.synth.writers.hl7v2.feeds import FEEDS, coded, escape
from lakehouse.synth.writers.hl7v2.scribe import Scribe

STATUS = {"S12": "Booked", "S13": "Booked", "S14": "Booked", "S15": "Cancelled", "S26": "Noshow"}
TYPES = {"18842-5": "DS", "34117-2": "HP", "11506-3": "PN", "34111-5": "ED"}
"""Document types of notes (HL7 table 0270)."""


def write(scribe: Scribe) -> None:
    """Write appointments, charges and documents."""
    for visit in scribe.life.appointments:
        _appointment(scribe, visit, "S12", visit.booked, visit.starts)
        for time, event, start in visit.changes:
            _appointment(scribe, visit, event, time, start)
    grouped = groupby(scribe.life.charges, key=lambda c: (c.encounter.number, c.time))
    for _, charges in grouped:
        _charges(scribe, list(charges))
    for document in scribe.life.documents:
        _document(scribe, document)


def _appointment(scribe: Scribe, visit: Appointment, event: str, time: int, start: int) -> None:
    ends, place = start + visit.minutes * MINUTE, HOSPITALS[visit.hospital]
    doctor = scribe.provider(visit.provider)
    span = f"^^{visit.minutes}^{stamp(start)}^{stamp(ends)}"
    why = {"S15": "PATIENT^Cancelled by patient^HL70276", "S13": "WORK^Work conflict^L"}.get(
        event, f"{visit.reason.code}^{escape(visit.reason.text)}^{visit.reason.system}"
    )
    body = (
        f"SCH|{visit.number}^{place}SCH|{visit.number}F^{place}SCH||||{why}|CHECKUP^^HL70276"
        f"|{visit.kind}^^HL70277|{visit.minutes}|MIN|{span}|||||"
        f"{scribe.person.index % 20:02d}^Desk^Dora||||"
        f"{scribe.person.index % 20:02d}^Desk^Dora|||||{STATUS[event]}^^HL70278\r"
        + scribe.patient(visit.encounter, time)
        + f"PV1|1|O|{visit.unit}^^^{place}||||{doctor}|||||||||||"
        + (f"|{visit.encounter.number}^^^{place}^VN" if visit.encounter else "|")
        + f"\rRGS|1|A\rAIS|1|A|{_service(visit.unit)}|{stamp(start)}|0|MIN|{visit.minutes}|MIN\r"
        f"AIL|1|A|{visit.unit}^^^{place}|||{stamp(start)}|0|MIN|{visit.minutes}|MIN\r"
        f"AIP|1|A|{doctor}|||{stamp(start)}|0|MIN|{visit.minutes}|MIN\r"
    )  # fmt: skip
    spare = event == "S12" and visit.encounter is not None
    scribe.send(FEEDS["scheduling"], time, f"SIU^{event}^SIU_S12", body, spare=spare)


def _service(unit: str) -> str:
    return f"{unit}VIS^Clinic visit^99SCH"


def _charges(scribe: Scribe, charges: list[Charge]) -> None:
    encounter, time = charges[0].encounter, charges[0].time
    body = f"EVN|P03|{stamp(time)}\r" + scribe.patient(encounter, time)
    body += scribe.visit(encounter, time, left=True)
    for number, c in enumerate(charges, 1):
        single = c.amount / c.quantity
        bill = coded(c.code)
        body += (
            f"FT1|{number}|{c.number}||{stamp(encounter.left)}|{stamp(time)}|{c.kind}|{bill}"
            f"|{escape(c.code.text)}||{c.quantity}|{c.amount:.2f}&USD|{single:.2f}&USD"
            f"|{encounter.stays[0].unit}|{scribe.person.insurance[0].plan}|||||"
            f"{coded(encounter.diagnoses[0].code)}|{scribe.provider(c.provider)}||||"
            f"|{bill if c.code.system == 'C4' else ''}\r"
        )
    body += scribe.diagnoses(encounter, encounter.left, "F", present=False)
    scribe.send(FEEDS["billing"], time, "DFT^P03^DFT_P03", body, spare=True, lag=900)


def _document(scribe: Scribe, document: Document) -> None:
    event, time = "T06" if document.parent else "T02", document.time
    author = scribe.provider(document.author)
    parent = f"{document.parent}^DICTATE" if document.parent else ""
    body = (
        f"EVN||{stamp(time)}\r" + scribe.patient(document.encounter, time)
        + scribe.visit(document.encounter, time)
        + f"TXA|1|{TYPES[document.code.code]}^{document.code.text}^HL70270|TX|{stamp(time)}"
        f"|{author}|{stamp(time)}|{stamp(time)}||{author}|||{document.number}^DICTATE|{parent}|||"
        f"{scribe.person.family.split()[0]}_{document.number}.txt|{'AU' if time % 3 else 'LA'}|U|AV"
        f"\r"
    )  # fmt: skip
    for number, line in enumerate(document.lines, 1):
        body += f"OBX|{number}|TX|{coded(document.code)}|{number}|{escape(line)}||||||F\r"
    scribe.send(FEEDS["documents"], time, f"MDM^{event}^MDM_T02", body)

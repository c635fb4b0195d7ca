"""Writes drug orders (RDE), dispenses (RDS), administrations (RAS) and vaccinations (VXU)."""

from __future__ import annotations

from functools import cache

from lakehouse.synth.catalog import keyed
from lakehouse.synth.clock import day, stamp
from lakehouse.synth.events import Immunization, MedicationOrder
from lakehouse.synth.people import HOSPITALS
from lakehouse.synth.writers.hl7v2.feeds import FEEDS, coded, escape
from lakehouse.synth.writers.hl7v2.scribe import Scribe

PHARMACY = FEEDS["pharmacy"]
REGISTRY = FEEDS["immunizations"]


def write(scribe: Scribe) -> None:
    """Write every medication order with dispenses and administrations, and every vaccination."""
    for order in scribe.life.medications:
        _ordered(scribe, order, order.starts, "NW")
        if order.stopped:
            _ordered(scribe, order, order.stopped, "DC")
        for number, time in enumerate(order.dispensed, 1):
            _dispensed(scribe, order, time, number)
        for number, given in enumerate(order.given, 1):
            _given(scribe, order, given, number)
    for vaccination in scribe.life.immunizations:
        _vaccinated(scribe, vaccination)


@cache
def _drug(key: str) -> str:
    spec = keyed("drugs")[key]
    return f"{spec['rxnorm']}^{escape(spec['text'])}^RXNORM^{key.upper()[:12]}^^99RX"


def _common(scribe: Scribe, order: MedicationOrder, time: int, control: str) -> str:
    body = scribe.patient(order.encounter, time)
    if order.encounter:
        body += scribe.visit(order.encounter, time)
    status = "DC" if control == "DC" else "IP" if control == "NW" else "CM"
    return body + (
        f"ORC|{control}|{order.placer}^OE|{order.filler}^RX||{status}||||{stamp(time)}|||"
        f"{scribe.provider(order.provider)}\r"
    )


def _timing(order: MedicationOrder) -> str:
    return f"1^{order.frequency}^^{stamp(order.starts)}^{stamp(order.stopped or order.ends)}"


def _route(spec: dict[str, str]) -> str:
    return f"RXR|{spec['route']}^^HL70162\r"


def _ordered(scribe: Scribe, order: MedicationOrder, time: int, control: str) -> None:
    spec = keyed("drugs")[order.drug]
    refills = "" if order.given else "3"
    body = _common(scribe, order, time, control) + (
        f"RXE|{_timing(order)}|{_drug(order.drug)}|{order.dose:g}||{spec['dose_unit']}"
        f"|{spec['form']}|{spec['frequency']}&&{escape(spec['text'])} for "
        f"{escape(scribe.person.given)}|||{spec['quantity']}|{spec['form']}|{refills}"
        f"|{scribe.provider(order.provider)}||{order.filler}||||||||||{spec['strength']}"
        f"|{spec['strength_unit']}|{coded(order.indication) if order.indication else ''}\r"
    ) + _route(spec)  # fmt: skip
    scribe.send(PHARMACY, time, "RDE^O11^RDE_O11", body)


def _dispensed(scribe: Scribe, order: MedicationOrder, time: int, number: int) -> None:
    spec = keyed("drugs")[order.drug]
    body = _common(scribe, order, time, "RE") + (
        f"RXD|{number}|{_drug(order.drug)}|{stamp(time)}|{spec['quantity']}|{spec['form']}"
        f"|{spec['form']}|{order.filler}{number:02d}|{max(0, 4 - number)}||"
        f"{scribe.provider(order.provider)}\r"
    ) + _route(spec)  # fmt: skip
    scribe.send(PHARMACY, time, "RDS^O13^RDS_O13", body, spare=True)


def _given(
    scribe: Scribe, order: MedicationOrder, given: tuple[int, float, str], number: int
) -> None:
    time, dose, status = given
    spec = keyed("drugs")[order.drug]
    nurse = scribe.life.index % 30
    why = "00^Patient refused^NIP002" if status == "RE" else ""
    body = _common(scribe, order, time, "RE") + (
        f"RXA|0|{number}|{stamp(time)}|{stamp(time)}|{_drug(order.drug)}|{dose:g}"
        f"|{spec['dose_unit']}|{spec['form']}||N{nurse:02d}^Lark^Nora||||||||{why}||{status}"
        f"|A\r"
    ) + _route(spec)  # fmt: skip
    scribe.send(PHARMACY, time, "RAS^O17^RAS_O17", body, spare=True)


def _vaccinated(scribe: Scribe, v: Immunization) -> None:
    source = "01^Historical information^NIP001" if v.historic else "00^New record^NIP001"
    why = "00^Parental decision^NIP002" if v.status == "RE" else ""
    dose = "999" if v.historic or v.status == "RE" else f"{v.dose:g}"
    unit = "" if dose == "999" else "mL^^UCUM"
    lot, maker = ("", "") if v.historic or v.status == "RE" else (v.lot, f"{v.manufacturer}^^MVX")
    body = (
        scribe.patient(None, v.time) + f"PD1|||||||||||02^^HL70215|N|{day(v.time)}\r"
        + scribe.relatives().split("GT1")[0]
        + f"ORC|RE||{v.order}^IIS|||||||||{scribe.provider(v.provider)}\r"
        f"RXA|0|1|{stamp(v.time)}|{stamp(v.time)}|{coded(v.vaccine)}|{dose}|{unit}||{source}"
        f"|{scribe.provider(v.provider)}|^^^{HOSPITALS[scribe.person.hospital]}||||{lot}||{maker}|{why}||"
        f"{v.status}|A\r"
    )  # fmt: skip
    if v.route and v.status == "CP" and not v.historic:
        body += f"RXR|{v.route}^^HL70162|{v.site}^^HL70163\r"
    scribe.send(REGISTRY, v.time, "VXU^V04^VXU_V04", body)

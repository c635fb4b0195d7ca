"""Writes laboratory orders (OML, ORM) and results (ORU)."""

from __future__ import annotations

from functools import cache
from typing import Any

from lakehouse.synth.catalog import Analyte, analytes, document
from lakehouse.synth.clock import MINUTE, stamp
from lakehouse.synth.events import Code, LabOrder, Result
from lakehouse.synth.laboratory import NO_GROWTH, flag
from lakehouse.synth.people import HOSPITALS
from lakehouse.synth.writers.hl7v2.feeds import Feed, coded, escape
from lakehouse.synth.writers.hl7v2.scribe import Scribe

EGFR = "98979-8^Glomerular filtration rate [Volume Rate/Area] in Serum, Plasma or Blood by " \
    "Creatinine-based formula (CKD-EPI 2021)/1.73 sq M^LN"  # fmt: skip
REMARKS = (
    "Specimen slightly hemolyzed.",
    "Result called to {nurse} at ext. 4417 and read back.",
    "Drawn from line; {patient} fasting.",
)


def write(scribe: Scribe) -> None:
    """Write every laboratory order with its results and changes of status."""
    for order in scribe.life.labs:
        feed = scribe.feed("lab", order.encounter.hospital)
        _ordered(scribe, feed, order)
        if order.cancelled:
            _report(scribe, feed, order, order.received + 20 * MINUTE, "X")
            continue
        if order.preliminary:
            _report(scribe, feed, order, order.preliminary, "P")
        _report(scribe, feed, order, order.resulted, "F")
        if order.corrected:
            time, position, value = order.corrected
            _report(scribe, feed, order, time, "C", {position: value})
        if order.wrong:
            _report(scribe, feed, order, order.resulted + 90 * MINUTE, "W")
        if order.acknowledged:
            _acknowledged(scribe, feed, order)


@cache
def _panel(name: str, local: bool) -> str:
    """Return OBR-4: LOINC with the local code, or the local code alone at the other hospital."""
    spec = document("panels")[name]
    if local:
        return f"{spec['local']}^{escape(spec['text'])}^L"
    return f"{spec['loinc']}^{escape(spec['text'])}^LN^{spec['local']}^^99LAB"


@cache
def _code(key: str, local: bool) -> str:
    if key == "egfr":
        return "EGFR^eGFR^L" if local else EGFR
    spec = analytes().get(key)
    if spec:
        if local:
            return f"{spec.local}^{escape(spec.text.split(' [')[0])}^L"
        return f"{spec.loinc}^{escape(spec.text)}^LN^{spec.local}^^99LAB"
    finding = document("findings")[key]
    return f"{finding['loinc']}^{escape(finding['text'])}^LN"


@cache
def _limits(key: str, sex: str, factor: float) -> str:
    spec: Analyte = analytes()[key]
    limits = spec.range_male if sex == "M" else spec.range_female
    if not limits:
        return ""
    low, high = (round(x * factor, spec.decimals if factor == 1 else 2) for x in limits)
    return f"{low:g}-{high:g}" if low else f"<{high:g}"


def _ordered(scribe: Scribe, feed: Feed, order: LabOrder) -> None:
    time = order.ordered
    panel, doctor = _panel(order.panel, bool(feed.hospital)), scribe.provider(order.provider)
    place = HOSPITALS[order.encounter.hospital]
    body = (
        scribe.patient(order.encounter, time) + scribe.visit(order.encounter, time)
        + f"ORC|NW|{order.placer}^{place}OE|||SC||||{stamp(time)}|||{doctor}\r"
        f"OBR|1|{order.placer}^{place}OE||{panel}|{'S' if order.stat else 'R'}|{stamp(time)}"
        f"||||||||||{doctor}\r"
    )  # fmt: skip
    kind = "OML^O21^OML_O21" if feed.at_least("2.5") else "ORM^O01^ORM_O01"
    scribe.send(feed, time, kind, body, spare=True)


def _report(
    scribe: Scribe, feed: Feed, order: LabOrder, time: int, status: str,
    corrected: dict[int, float] | None = None,
) -> None:  # fmt: skip
    body = _head(scribe, feed, order, time, "F" if status == "W" else status)
    lines = []
    late = feed.at_least("2.5")
    tail = _tail(scribe, order, time) if late else f"|||{status}|||{stamp(order.collected)}\r"
    for number, result in enumerate(order.results):
        shown = status
        if corrected and number in corrected:
            value = corrected[number]
            result = Result(result.key, value, flag(result.key, value, scribe.person.sex))
        elif status == "C":
            shown = "F"
        fields = _value(feed, result, scribe.person.sex, status)
        lines.append(
            f"OBX|{number + 1}|{fields}{tail if not late else f'|||{shown}{tail}'}"
        )  # fmt: skip
    body += "".join(lines)
    if status == "X":
        body += "NTE|1|L|Specimen clotted; please recollect.\r"
    elif scribe.rng.random() < 0.06:
        remark = scribe.rng.choice(REMARKS).format(
            nurse=escape(scribe.person.physician.family), patient=escape(scribe.person.family)
        )
        body += f"NTE|1|L|{remark}\r"
    if feed.version == "2.5.1":
        body += _specimen(order)
    scribe.send(feed, time, "ORU^R01^ORU_R01", body, spare=status == "F", lag=240)


def _head(scribe: Scribe, feed: Feed, order: LabOrder, time: int, status: str) -> str:
    place = HOSPITALS[order.encounter.hospital]
    spec, doctor = document("panels")[order.panel], scribe.provider(order.provider)
    return (
        scribe.patient(order.encounter, time) + scribe.visit(order.encounter, time)
        + f"ORC|RE|{order.placer}^{place}OE|{order.filler}^{place}LAB||CM||||{stamp(order.ordered)}"
        f"|||{doctor}\r"
        f"OBR|1|{order.placer}^{place}OE|{order.filler}^{place}LAB"
        f"|{_panel(order.panel, bool(feed.hospital))}|{'S' if order.stat else 'R'}"
        f"|{stamp(order.ordered)}|{stamp(order.collected)}|||||||{stamp(order.received)}"
        f"|{spec['specimen']}|{doctor}||||||{stamp(time)}||{spec.get('category', 'LAB')}"
        f"|{status}\r"
    )  # fmt: skip


def _tail(scribe: Scribe, order: LabOrder, time: int) -> str:
    place = HOSPITALS[order.encounter.hospital]
    return (
        f"|||{stamp(order.collected)}||TECH{scribe.life.index % 9}^Benchley^Ray"
        f"|||{stamp(time)}||||{place} LABORATORY\r"
    )


def _specimen(order: LabOrder) -> str:
    kind = document("panels")[order.panel]["specimen"]
    if not kind:
        return ""
    return (
        f"SPM|1|S{order.filler[1:]}&LAB||{kind}^^HL70487|||||||||||||{stamp(order.collected)}"
        f"|{stamp(order.received)}\r"
    )


def _value(feed: Feed, result: Result, sex: str, status: str) -> str:
    """Return OBX-2 to OBX-8."""
    local = bool(feed.hospital)
    code = _code(result.key, local)
    value = result.value
    if status == "X":
        return f"NM|{code}|||||"
    if isinstance(value, Code):
        if status == "P" and result.key.endswith("culture"):
            value = NO_GROWTH
        kind = "CWE" if feed.at_least("2.5") else "CE"
        return f"{kind}|{code}||{coded(value)}|||{result.flag}"
    if isinstance(value, str):
        return _words(result, code, value)
    spec = analytes().get(result.key)
    if spec is None:
        return _bare(result, code, value)
    if value <= spec.floor and result.key in ("troponin", "hcg", "crp", "psa", "procalcitonin"):
        return f"SN|{code}||<^{spec.floor:g}|{spec.unit}|{_limits(result.key, sex, 1)}|N"
    if local and spec.other_unit:
        shown = round(value * spec.factor, max(0, 2 - (spec.factor > 5) * 2))
        return (
            f"NM|{code}||{shown:g}|{spec.other_unit}|{_limits(result.key, sex, spec.factor)}"
            f"|{result.flag}"
        )
    unit = spec.unit if local else f"{spec.unit}^^UCUM"
    return (
        f"NM|{code}||{value:.{spec.decimals}f}|{unit}|{_limits(result.key, sex, 1)}|{result.flag}"
    )


def _words(result: Result, code: str, value: str) -> str:
    spec: dict[str, Any] = document("findings")[result.key]
    if spec["kind"] == "sn":
        return f"SN|{code}||{value}|{spec['unit']}||{result.flag}"
    kind = "ST" if spec["kind"] == "string" else "TX"
    return f"{kind}|{code}||{escape(value)}|||{result.flag}"


def _bare(result: Result, code: str, value: float) -> str:
    """Return a number without an analyte: the filtration rate, or part of a tracing."""
    if result.key == "egfr":
        if value >= 90:
            return f"SN|{code}||>^90|mL/min/{{1.73_m2}}|>60|N"
        return f"NM|{code}||{value:g}|mL/min/{{1.73_m2}}|>60|{result.flag}"
    return f"NM|{code}||{value:g}|{document('findings')[result.key]['unit']}||{result.flag}"


def _acknowledged(scribe: Scribe, feed: Feed, order: LabOrder) -> None:
    """Write the time at which a clinician confirmed a critical result."""
    time = order.acknowledged or order.resulted
    body = _head(scribe, feed, order, time, "F")
    kind = "DTM" if feed.at_least("2.5.1") else "TS"
    body += (
        f"OBX|{len(order.results) + 1}|{kind}|CRITACK^Critical result acknowledged^L||{stamp(time)}"
        f"||||||F|||{stamp(time)}||{scribe.provider(order.provider)}\r"
    )
    scribe.send(feed, time, "ORU^R01^ORU_R01", body)

"""Writes messages of vital signs (ORU) and social history."""

from __future__ import annotations

from functools import cache

from lakehouse.synth.catalog import vitals
from lakehouse.synth.clock import stamp
from lakehouse.synth.events import VitalSigns
from lakehouse.synth.writers.hl7v2.feeds import FEEDS, coded
from lakehouse.synth.writers.hl7v2.scribe import Scribe

LEVELS = {
    "A": "LA9340-6^Alert^LN",
    "C": "LA6560-2^Confused^LN",
    "V": "LA17108-4^Verbal^LN",
    "P": "LA17107-6^Painful^LN",
    "U": "LA9343-0^Unresponsive^LN",
}
LOCAL_LEVELS = {"A": "Alert", "C": "Confused", "V": "Voice", "P": "Pain", "U": "Unresponsive"}


def write(scribe: Scribe) -> None:
    """Send every set of vital signs, and the smoking status once a year."""
    year = ""
    for number, taken in enumerate(scribe.life.vitals, 1):
        _signs(scribe, taken, number)
        if taken.encounter.kind == "O" and stamp(taken.time)[:4] != year:
            year = stamp(taken.time)[:4]
            _smoking(scribe, taken, number)


@cache
def _code(key: str, local: bool) -> str:
    spec = vitals()[key]
    if local:
        return f"{spec.local}^{spec.text.split(' [')[0]}^L"
    return f"{spec.loinc}^{spec.text}^LN^{spec.local}^^99MON"


@cache
def _normal(key: str) -> tuple[str, float, float]:
    limits = vitals()[key].range_male
    return (f"{limits[0]:g}-{limits[1]:g}", *limits) if limits else ("", -1e9, 1e9)


def _signs(scribe: Scribe, taken: VitalSigns, number: int) -> None:
    local = bool(taken.encounter.hospital)
    at, lines = stamp(taken.time), []
    for position, (key, value) in enumerate(taken.values.items(), 1):
        code = _code(key, local)
        if isinstance(value, str):
            level = f"{value}^{LOCAL_LEVELS[value]}^L" if local else LEVELS[value]
            middle = f"CWE|{code}||{level}|||{'N' if value == 'A' else 'A'}"
        else:
            spec = vitals()[key]
            limits, low, high = _normal(key)
            flag = "L" if value < low else "H" if value > high else "N" if limits else ""
            shown, unit = value, f"{spec.unit}^^UCUM"
            if local and spec.other_unit:
                shown, unit, limits = _converted(key, value), spec.other_unit, ""
            middle = f"NM|{code}||{shown:.{spec.decimals}f}|{unit}|{limits}|{flag}"
        lines.append(f"OBX|{position}|{middle}|||F|||{at}\r")
    placer = f"VS{scribe.life.index:06d}{number:05d}^MONITOR"
    nurse = scribe.life.index % 30
    body = (
        scribe.patient(taken.encounter, taken.time) + scribe.visit(taken.encounter, taken.time)
        + f"OBR|1||{placer}|85353-1^Vital signs, weight, height, head circumference, oxygen "
        f"saturation and BMI panel^LN|||{at}|||N{nurse:02d}^Lark^Nora||||||||||||{at}||VITALS|F\r"
        + "".join(lines)
    )  # fmt: skip
    scribe.send(FEEDS["vitals"], taken.time, "ORU^R01^ORU_R01", body, spare=True, lag=90)


def _converted(key: str, value: float) -> float:
    if key == "temperature":
        return value * 1.8 + 32
    return value * (2.20462 if key == "weight_kg" else 1 / 2.54)


def _smoking(scribe: Scribe, taken: VitalSigns, number: int) -> None:
    at = stamp(taken.time)
    body = (
        scribe.patient(taken.encounter, taken.time) + scribe.visit(taken.encounter, taken.time)
        + f"OBR|1||SH{scribe.life.index:06d}{number:05d}^MONITOR|29762-2^Social history Narrative"
        f"^LN|||{at}|||||||||||||||{at}||SOC|F\r"
        f"OBX|1|CWE|72166-2^Tobacco smoking status^LN||{coded(scribe.life.smoking)}"
        f"||||||F|||{at}\r"
    )  # fmt: skip
    scribe.send(FEEDS["vitals"], taken.time, "ORU^R01^ORU_R01", body, spare=True, lag=90)

"""Adds transmission faults: late, duplicate and damaged messages."""

from __future__ import annotations

import re
from random import Random

from lakehouse.synth.chance import stream
from lakehouse.synth.clock import HOUR
from lakehouse.synth.life import Patient
from lakehouse.synth.writers import Options
from lakehouse.synth.writers.hl7v2.scribe import Message


def apply(life: Patient, messages: list[Message], options: Options) -> list[Message]:
    """Return the messages in order of arrival, with faults.

    Damage only befalls messages whose loss spoils no story, in place of the good message.
    """
    rng = stream(life.seed, life.index, "faults")
    arrived: list[Message] = []
    for message in messages:
        chance = rng.random()
        if message.spare and chance < options.malformed:
            message.text = rng.choice(DAMAGES)(message.text, rng)
            message.fault = "malformed"
        elif chance > 1 - options.duplicates:
            later = message.arrives + rng.randrange(20, 9_000)
            arrived.append(Message(later, message.feed, message.text, False, "duplicate"))
        elif chance > 1 - options.duplicates - options.late:
            message.fault = "late"
            message.arrives += int(rng.lognormvariate(1.8, 1.1) * HOUR)
        arrived.append(message)
    return arrived


def _field(text: str, segment: str, number: int, value: str) -> str:
    """Return the message with one field of its first segment of a kind replaced."""
    lines = text.split("\r")
    for i, line in enumerate(lines):
        if line.startswith(segment + "|"):
            fields = line.split("|")
            place = number - 1 if segment == "MSH" else number
            if place < len(fields):
                fields[place] = value
            lines[i] = "|".join(fields)
            break
    return "\r".join(lines)


def _no_control_id(text: str, rng: Random) -> str:
    return _field(text, "MSH", 10, "")


def _no_type(text: str, rng: Random) -> str:
    return _field(text, "MSH", 9, "")


def _odd_version(text: str, rng: Random) -> str:
    return _field(text, "MSH", 12, "9.9")


def _impossible_time(text: str, rng: Random) -> str:
    return _field(text, "MSH", 7, "20241399256199")


def _nobody(text: str, rng: Random) -> str:
    return _field(text, "PID", 3, "")


def _no_number(text: str, rng: Random) -> str:
    return re.sub(r"(OBX\|\d+\|NM\|[^|]*\|[^|]*\|)[^|]*", r"\g<1>HEMOLYZED", text, count=1)


def _cut_off(text: str, rng: Random) -> str:
    return text[: rng.randrange(30, 60)] + "\r"


def _undecodable(text: str, rng: Random) -> str:
    # a lone surrogate stands for a byte that no character set has; files.py writes it as 0xFF
    return text.replace("PID|1|", "PID|1|\udcff", 1)


DAMAGES = (
    _no_control_id,
    _no_type,
    _odd_version,
    _impossible_time,
    _nobody,
    _no_number,
    _cut_off,
    _undecodable,
)

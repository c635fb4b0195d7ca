"""Messages of HL7 v2 for tests that need some, whatever is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

GLUCOSE = "2345-7^Glucose^LN", "mg/dL"
SODIUM = "2951-2^Sodium^LN", "mmol/L"
"""Code with text and system, and unit."""


Results: TypeAlias = "Sequence[tuple[tuple[str, str], int]]"


def lab_message(
    number: int, control: str, results: Results, kind: str = "ORU^R01", extra: str = ""
) -> str:
    """Return a report of results on the patient of a record number, by code and value.

    Args:
        number: Record number, and with a letter before it the numbers of visit and order.
        control: The message's control id.
        results: What was measured, such as ``GLUCOSE``, and its value.
        kind: Message code and trigger event.
        extra: Segments after PID.
    """
    observed = "".join(
        f"OBX|{n}|NM|{code}||{value}|{unit}|||||F|||20240101\r"
        for n, ((code, unit), value) in enumerate(results, 1)
    )
    return (
        f"MSH|^~\\&|LAB|HOSP|A|B|20240102030405||{kind}|{control}|P|2.5\r"
        f"PID|1||{number}^^^GENERAL^MR||DOE^J||19500601|F\r{extra}"
        f"PV1|1|I|WARD||||||||||||||||V{number}\r"
        f"OBR|1|P{number}|F{number}|A^a^L|||20240101\r{observed}"
    )

"""Small HL7 messages for benchmarks: admissions, glucose results and prescriptions."""

from __future__ import annotations

from pathlib import Path

from lakehouse.synth.clock import DAY, HOUR, at, day, stamp

SHAPES = ("ADT^A01", "ORU^R01", "RDE^O11")
"""Message types, in turn."""

_FIRST = at(2025, 3, 1)
_BORN = at(1938, 5, 17)


def message(number: int) -> str:
    r"""Return message ``number``: three segments at most, its own control id and patient.

    Examples:
        >>> message(1).split("\\r")[0].split("|")[8:10]
        ['ORU^R01', 'SYN0000001']
    """
    kind, sent = SHAPES[number % 3], _FIRST + number % 240 * HOUR
    sender = "DISPENSARY" if kind == "RDE^O11" else "ANALYZER"
    head = f"MSH|^~\\&|{sender}|SYNTHETIC|WAREHOUSE|SYNTHETIC|{stamp(sent)}||{kind}"
    born = day(_BORN + number * 271 % 30_000 * DAY)
    parts = [
        f"{head}|SYN{number:07d}|P|2.5",
        f"PID|1||{7_000_000 + number}||INVENTED{number}^PERSON{number}^{'XYZ'[number % 3]}||{born}"
        f"|{'FM'[number % 2]}|||{number} TEST LN^^TOWN{number % 50}^MA^0{1001 + number % 1000}"
        f"||555-01{number % 100:02d}|||{'MS'[number % 2]}||{900_000_000 + number}",
    ]
    if kind == "ORU^R01":
        parts.append(f"OBX|1|NM|GLU^Glucose^L||{70 + number % 60}|mg/dL|70-110|N|||F")
    elif kind == "RDE^O11":
        ends = stamp(sent + 10 * HOUR)
        dose = 5 * (1 + number % 8)
        parts.append(f"RXE|1^1^{stamp(sent)}^{ends}|METFORMIN 500MG|{dose}||TAB|PO|BID|||")
    return "\r".join(parts) + "\r\n\r\n"


def write(folder: str | Path, messages: int = 10_000, per_file: int = 100) -> int:
    """Write the messages and return the number of files.

    Args:
        folder: Where to; made if need be.
        messages: How many; a third of each shape, and one more of the first for a remainder.
        per_file: Messages a file holds.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(folder, messages=250)
        3
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    files = range(0, messages, per_file)
    for number, start in enumerate(files):
        texts = map(message, range(start, min(start + per_file, messages)))
        (place / f"tutorial-{number:06d}.hl7").write_bytes("".join(texts).encode("ascii"))
    return len(files)

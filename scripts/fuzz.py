"""Mutated HL7 files, guided by coverage: the parser neither crashes nor loses a message.

scripts/fuzz                 # five minutes
scripts/fuzz -max_total_time=3600
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lakehouse"]):
    from lakehouse.batch import Source
    from lakehouse.formats.hl7v2 import FORMAT
    from lakehouse.formats.hl7v2.encoding import framing
    from lakehouse.quality import validate

NEIGHBOUR = b"MSH|^~\\&|A|B|C|D|20240102||ADT^A01|LAST|P|2.5\rPID|1||42^^^H\r"
SEEDS = Path(__file__).parents[1] / ".bench" / "fuzz"


def one(data: bytes) -> None:
    """Parse a mutated file with a good message behind it."""
    text = data + b"\r" + NEIGHBOUR
    found = sum(len(c.starts) for c in framing.chunks(io.BytesIO(text)))
    ended = 0
    last: tuple[str, str] | None = None
    for raw in FORMAT.parse(io.BytesIO(text), Source("0" * 32)):
        for reject in raw.rejects:
            if reject.rule == "hl7v2.unreadable":
                raise AssertionError("the parser failed")
        batch = validate(raw, "hl7v2")
        ended += batch.n_records
        for table in batch.tables.values():
            table.validate(full=True)
        if "records" in batch.tables:
            records = batch.tables["records"]
            if {"control_id", "patient_id"} <= set(records.column_names):
                rows = records.select(["control_id", "patient_id"]).to_pylist()
                last = next(reversed([tuple(r.values()) for r in rows]), last)
    if found != ended:
        raise AssertionError(f"{found} messages found, {ended} accounted for")
    if last != ("\x1fLAST", "H\x1f42"):
        raise AssertionError("the neighbour was lost, or is another patient's")


def main() -> None:
    from lakehouse.synth import tutorial

    SEEDS.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        (SEEDS / f"{number}.hl7").write_text(tutorial.message(number), newline="")
    given = sys.argv[1:] or ["-max_total_time=300"]
    atheris.Setup([sys.argv[0], *given, "-max_len=4096", str(SEEDS)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""What the HL7 tests share: parse text, get rows as dictionaries."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa

from lakehouse.batch import RawBatch, Source
from lakehouse.formats.hl7v2 import FORMAT
from lakehouse.quality import validate

MSH = "MSH|^~\\&|LAB|HOSP|EMR|CLINIC|20240102030405||ADT^A01|C1|P|2.5"
PID = "PID|1||42^^^HOSP^MR||DOE^JANE||19500601|F|||1 MAIN ST^^BOSTON^MA^02115^USA"


def batches(data: bytes | str, **source: Any) -> list[RawBatch]:
    """Parse and validate one file."""
    raw = data.encode() if isinstance(data, str) else data
    told = Source("a" * 32, **source)
    return [validate(b, "hl7v2") for b in FORMAT.parse(io.BytesIO(raw), told)]


def rows(data: bytes | str, table: str, **source: Any) -> list[dict[str, Any]]:
    """Return the rows of one table, in the order of the file; nulls left out."""
    parts = [b.tables[table] for b in batches(data, **source) if table in b.tables]
    if not parts:
        return []
    found = pa.concat_tables(parts, promote_options="default").to_pylist()
    return [{k: v for k, v in row.items() if v is not None} for row in found]


def rejects(data: bytes | str, **source: Any) -> list[tuple[int, str, str]]:
    """Return (record, rule, level) of every reject and warning."""
    found = [(r["record_ordinal"], r["rule"], r["level"]) for r in rows(data, "rejects", **source)]
    for batch in batches(data, **source):
        found += [(r.record_ordinal, r.rule, r.level) for r in batch.rejects]
    return sorted(found)


def message(*segments: str, end: str = "\r") -> str:
    """Return a message: a header of ours, then the segments."""
    return end.join([MSH, *segments]) + end

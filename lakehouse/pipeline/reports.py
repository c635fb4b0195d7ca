"""Reports of an ingest: per file for the ledger, in sum for the person, running for the bar.

Nothing in them identifies a person.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa

from lakehouse.batch import conform
from lakehouse.definitions.tables import load_tables

DONE, UNREADABLE, NOT_RECOGNISED = "done", "unreadable", "not-recognised"


@dataclass(slots=True)
class FileReport:
    """The outcome of an ingest for one file.

    Attributes:
        file_id: Keyed digest of its content.
        path_id: Keyed digest of its path.
        format: Format that read it, or None.
        status: ``done``, ``unreadable`` or ``not-recognised`` (it gave no record).
        bytes: Size as stored.
        n_records: Source records found.
        n_rejects: Records among them that were rejected.
        n_warnings: Warnings, and rows dropped from stored records.
        dropped: Segments or elements that no mapping names, by a public name.
    """

    file_id: str
    path_id: str
    format: str | None
    status: str = DONE
    bytes: int = 0
    n_records: int = 0
    n_rejects: int = 0
    n_warnings: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Tally:
    """Counts of files, records, rejects and bytes that a piece of work adds to the progress.

    Attributes:
        files: Files that ended.
        records: Source records found.
        rejects: Records among them that were rejected.
        bytes: Bytes of unpacked content read.

    Examples:
        >>> Tally(1, 10, 0, 4096) + Tally(1, 5, 1, 1024)
        Tally(files=2, records=15, rejects=1, bytes=5120)
    """

    files: int = 0
    records: int = 0
    rejects: int = 0
    bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.files + other.files,
            self.records + other.records,
            self.rejects + other.rejects,
            self.bytes + other.bytes,
        )

    def __sub__(self, other: Tally) -> Tally:
        return Tally(
            self.files - other.files,
            self.records - other.records,
            self.rejects - other.rejects,
            self.bytes - other.bytes,
        )


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        ingest_id: Id of the ingest, or None: every content was known, nothing was written.
        engine: Engine that drove it, or None.
        n_files: Files taken, those not recognised and unreadable included.
        n_known: Files passed over because their content is in the warehouse (or came twice).
        n_unrecognised: Files of no known format, those met before included; nothing of them is
            stored.
        unrecognised: By its file id, the path that was typed, and whether it is the file's own
            (else the file lies at or below it).
        unrecognised_kinds: How many of them look like what (``FHIR``, ``CSV`` ...), by content.
        has_recognised: Whether a format reads any file of the input.
        n_unreadable: Files whose parsing could not be finished.
        n_hidden: Names beginning with a dot that were passed over.
        n_dangling: Links that lead nowhere, passed over.
        n_records: Source records found.
        n_rejects: Records among them that were rejected.
        n_warnings: Warnings, and rows dropped from stored records.
        unmapped: How often each segment or element occurs that no mapping names, by public name.
        rows: Rows written, by table.
        bytes: Bytes of the files taken, as stored.
        seconds: Time it took.
        recovered: Ids of earlier, interrupted ingests that were completed first.
    """

    ingest_id: str | None
    engine: str | None = None
    n_files: int = 0
    n_known: int = 0
    n_unrecognised: int = 0
    unrecognised: dict[str, tuple[str, bool]] = field(default_factory=dict, repr=False)
    unrecognised_kinds: dict[str, int] = field(default_factory=dict)
    has_recognised: bool = True
    n_unreadable: int = 0
    n_hidden: int = 0
    n_dangling: int = 0
    n_records: int = 0
    n_rejects: int = 0
    n_warnings: int = 0
    unmapped: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0
    recovered: tuple[str, ...] = ()


def sum_reports(reports: Iterable[FileReport]) -> dict[str, Any]:
    """Return the figures of an ``IngestReport`` that are sums over files."""
    total: Counter[str] = Counter()
    unmapped: Counter[str] = Counter()
    for report in reports:
        total["n_files"] += 1
        total["n_unreadable"] += report.status == UNREADABLE
        for name in ("n_records", "n_rejects", "n_warnings", "bytes"):
            total[name] += getattr(report, name)
        if report.status != NOT_RECOGNISED:
            unmapped.update(report.dropped)
    return {**total, "unmapped": by_number(unmapped)}


def by_number(counts: Counter[str]) -> dict[str, int]:
    """Return counts, the largest first, and by name where they are equal.

    Examples:
        >>> by_number(Counter(ZBE=1, NK1=3, NTE=1, DG1=0))
        {'NK1': 3, 'NTE': 1, 'ZBE': 1}
    """
    return dict(sorted((+counts).items(), key=lambda item: (-item[1], item[0])))


_REPORT_SCHEMA = pa.schema(
    [load_tables()["ingest_files"].schema.field(name) for name in FileReport.__dataclass_fields__]
)
_REPORTS_PER_BATCH = 4_096
"""Reports that become columns at a time; as Python objects they take ten times the memory."""


def reports_to_table(reports: Iterable[FileReport]) -> pa.Table:
    """Return reports as a table that travels between workers."""
    remaining = iter(reports)
    parts = [
        _columns(some) for some in iter(lambda: list(islice(remaining, _REPORTS_PER_BATCH)), [])
    ]
    return pa.Table.from_batches(parts, _REPORT_SCHEMA)


def _columns(reports: Sequence[FileReport]) -> pa.RecordBatch:
    columns = {name: [getattr(r, name) for r in reports] for name in _REPORT_SCHEMA.names}
    # A count of zero may come from a neighbour in the batch and is not this file's.
    columns["dropped"] = [json.dumps(dict(sorted((+c).items()))) for c in columns["dropped"]]
    return pa.RecordBatch.from_pydict(columns, _REPORT_SCHEMA)


def reports_from_table(table: pa.Table) -> list[FileReport]:
    """Return the reports in a table of ``reports_to_table``."""
    return [
        FileReport(**{**row, "dropped": Counter(json.loads(row["dropped"]))})
        for row in table.to_pylist()
    ]


def ledger_of_files(
    reports: Iterable[FileReport], ingest_id: str, finished_at: datetime
) -> pa.Table:
    """Return the ledger's rows of ``ingest_files`` for some reports."""
    table = reports_to_table(reports)
    n = len(table)
    stamps = pa.repeat(pa.scalar(finished_at, pa.timestamp("us", tz="UTC")), n)
    table = table.append_column("ingest_id", pa.repeat(ingest_id, n))
    return conform(table.append_column("finished_at", stamps), load_tables()["ingest_files"].schema)


def ledger_of_ingest(
    reports: Iterable[FileReport], rows: dict[str, int], **facts: object
) -> pa.Table:
    """Return the ledger's row of ``ingests`` for one ingest.

    Args:
        reports: Reports on all its files.
        rows: Rows written, by table.
        facts: The other columns: ``ingest_id``, ``started_at``, ``engine`` ...
    """
    total = sum_reports(reports)
    counts = {name: total.get(name, 0) for name in ("n_files", "n_records", "n_rejects")}
    row = {**facts, **counts, "n_rows": json.dumps(dict(sorted(rows.items())))}
    return pa.Table.from_pylist([row], load_tables()["ingests"].schema)

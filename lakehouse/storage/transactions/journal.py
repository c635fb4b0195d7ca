"""The journal of an ingest: which files go into which table, written before the first commit.

Once a journal exists the ingest will happen: the process that finds it after a kill completes it.
It is JSON, since nobody unpickles a file from a disk. It holds paths, counts and bounds of
de-identified columns and nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse.errors import CommitError
from lakehouse.storage.io.column_metrics import ColumnMetrics
from lakehouse.storage.io.data_files import WrittenFile
from lakehouse.storage.io.files import Files, join
from lakehouse.storage.transactions.leases import JOURNAL


@dataclass(frozen=True)
class Journal:
    """The data files that one ingest commits.

    Attributes:
        ingest_id: Id of the ingest.
        attempt: Id of the attempt whose folders hold the files.
        files: Every data file, those of the ledger included.
    """

    ingest_id: str
    attempt: str
    files: tuple[WrittenFile, ...]

    def by_table(self) -> dict[str, list[WrittenFile]]:
        """Return the files of each table."""
        files_by_table: dict[str, list[WrittenFile]] = {}
        for file in self.files:
            files_by_table.setdefault(file.table, []).append(file)
        return files_by_table


def journal_location(folder: str, attempt: str) -> str:
    """Return the location of an attempt's journal."""
    return join(folder, f"{attempt}.{JOURNAL}")


def write_journal(files: Files, folder: str, journal: Journal) -> None:
    """Write a journal so that it survives a power cut."""
    content = {
        "ingest_id": journal.ingest_id,
        "attempt": journal.attempt,
        "files": [_to_json(f) for f in journal.files],
    }
    files.replace(journal_location(folder, journal.attempt), json.dumps(content).encode())


def read_journal(files: Files, folder: str, attempt: str) -> Journal | None:
    """Return the journal of an attempt, or None when there is no journal."""
    content = files.read(journal_location(folder, attempt))
    if content is None:
        return None
    try:
        entry = json.loads(content)
        return Journal(
            entry["ingest_id"], entry["attempt"], tuple(_from_json(f) for f in entry["files"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CommitError(
            f"The journal of attempt {attempt} is damaged.",
            "Restore the warehouse from a backup, or ask for help before ingesting.",
        ) from error


def _to_json(file: WrittenFile) -> dict[str, Any]:
    m = file.metrics
    return {
        "table": file.table,
        "location": file.location,
        "rows": file.rows,
        "size": file.size,
        "spec_id": file.spec_id,
        "partition": file.partition,
        "metrics": {
            "column_sizes": m.column_sizes,
            "value_counts": m.value_counts,
            "null_counts": m.null_counts,
            "lower": {k: v.hex() for k, v in m.lower.items()},
            "upper": {k: v.hex() for k, v in m.upper.items()},
            "split_offsets": m.split_offsets,
        },
    }


def _from_json(entry: dict[str, Any]) -> WrittenFile:
    m = entry.pop("metrics")
    metrics = ColumnMetrics(
        _by_id(m["column_sizes"]),
        _by_id(m["value_counts"]),
        _by_id(m["null_counts"]),
        {i: bytes.fromhex(v) for i, v in _by_id(m["lower"]).items()},
        {i: bytes.fromhex(v) for i, v in _by_id(m["upper"]).items()},
        tuple(m["split_offsets"]),
    )
    entry["partition"] = tuple(entry["partition"])
    return WrittenFile(**entry, metrics=metrics)


def _by_id(mapping: dict[str, Any]) -> dict[int, Any]:
    return {int(k): v for k, v in mapping.items()}


def file_locations(journal: Journal) -> Sequence[str]:
    """Return the locations of all data files in a journal."""
    return [f.location for f in journal.files]

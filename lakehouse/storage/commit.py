"""All or nothing across tables: journal, one commit per table, the ledger last, then the hints.

Iceberg commits one table at a time. So the list of all files is made durable first (the
journal); from then on the ingest will happen, by this process or by the next one that starts.
Each table is committed under its ingest's id and never twice: before every try the table's own
history is asked for the id, and the try is a compare-and-swap against the very state that was
asked.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.table import Table as IcebergTable

from lakehouse.errors import CommitError
from lakehouse.storage import hints, journal, leases, pyiceberg_private
from lakehouse.storage.crashpoints import reached
from lakehouse.storage.datafiles import WrittenFile, write_tables
from lakehouse.storage.files import join
from lakehouse.storage.journal import Journal
from lakehouse.storage.ledger import FILES, INGESTS, completed
from lakehouse.storage.locks import exclusive
from lakehouse.storage.warehouse import INGEST_ID, Warehouse

TRIES = 12
"""How often a table's commit is tried against other writers before giving up."""

LEDGER_TASK = 99_999
"""Task number of the files that the driver writes itself."""


class IngestTransaction:
    """One ingest: leases an attempt for its workers, and commits what they wrote.

    As a context manager it clears up after an ingest that failed. After a failure between two
    tables nothing is cleared: the journal is there, and ``recover`` completes the ingest.

    Args:
        warehouse: The warehouse.
        ingest_id: Id of the ingest, chosen by the caller, the same when it is retried.

    Attributes:
        ingest_id: Id of the ingest.
        attempt: Id of this try; goes into ``write_tables``.

    Examples:
        ::

            with IngestTransaction(warehouse, ingest_id) as ingest:
                files = write_tables(warehouse.write_spec(), batch.tables, ingest.attempt, 0)
                ingest.commit(files, {"ingest_files": ..., "ingests": ...})
    """

    def __init__(self, warehouse: Warehouse, ingest_id: str) -> None:
        self.ingest_id = ingest_id
        self._warehouse = warehouse
        self._lease = leases.Lease(warehouse.files, warehouse.attempts, "ingest")
        self.attempt = self._lease.attempt
        self._journaled = False
        self._ended = False

    def __enter__(self) -> IngestTransaction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def commit(
        self, files: Sequence[WrittenFile], ledger: Mapping[str, pa.Table]
    ) -> dict[str, int]:
        """Make everything visible.

        Args:
            files: What ``write_tables`` returned, of all workers.
            ledger: Rows of ``ingest_files`` and ``ingests``.

        Returns:
            Rows added, by table.

        Raises:
            CommitError: A table could not be committed; running the command again completes it.
        """
        reached("files-written")
        spec = self._warehouse.write_spec()
        listed = [*files, *write_tables(spec, ledger, self.attempt, LEDGER_TASK)]
        entry = Journal(self.ingest_id, self.attempt, tuple(listed))
        with exclusive(self._warehouse.state, "commit"):
            if not self._lease.held:
                raise CommitError("This ingest was taken for dead.", "Run the same command again.")
            journal.write(self._warehouse.files, self._warehouse.attempts, entry)
            self._journaled = True
            reached("journal-written")
            roll_forward(self._warehouse, entry)
        close_attempt(self._warehouse, self.attempt, keep=journal.writes(entry))
        self._ended = True
        self._lease.release()
        return {n: sum(f.rows for f in fs) for n, fs in entry.by_table().items()}

    def abort(self) -> None:
        """Remove what was written, unless it is committed or will be."""
        if self._ended:
            return
        self._ended = True
        self._lease.release(remove=not self._journaled)
        if not self._journaled:
            close_attempt(self._warehouse, self.attempt)


def roll_forward(warehouse: Warehouse, entry: Journal) -> None:
    """Commit every table of a journal that is not committed yet, and refresh the hints."""
    by_table = entry.by_table()
    tables: list[IcebergTable] = []
    if not completed(warehouse, [entry.ingest_id]):
        for name in sorted(by_table, key=_order):
            if name == INGESTS:
                reached("before-ledger")
            tables.append(commit_table(warehouse, name, by_table[name], entry))
            reached(f"committed:{name}")
    else:
        tables = [warehouse.iceberg(name) for name in by_table]
    reached("before-hint")
    for table in tables:
        hints.refresh(warehouse.files, table)


def _order(table: str) -> tuple[bool, bool, str]:
    return table == INGESTS, table == FILES, table


def commit_table(
    warehouse: Warehouse, name: str, files: Sequence[WrittenFile], entry: Journal
) -> IcebergTable:
    """Append files to a table once, whatever happens to the answer of the catalog.

    Raises:
        CommitError: Other writers were faster every time, or the catalog failed.
    """
    summary = {INGEST_ID: entry.ingest_id, "lakehouse.attempt": entry.attempt}
    last: Exception | None = None
    for number in range(TRIES):
        if number:
            time.sleep(min(0.05 * 2**number, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311
        table = warehouse.iceberg(name)
        if has_ingest(table, entry.ingest_id):
            return table
        try:
            pyiceberg_private.append(table, files, summary, commit_id(entry.attempt, name, number))
        except (CommitFailedException, ValidationException) as error:
            last = error  # surely not landed: another writer was faster
        except Exception as error:
            # Unknown outcome: it may have landed and only the answer is lost. The next turn
            # looks for the own id before anything else.
            last = error
        else:
            return table
    if has_ingest(table := warehouse.iceberg(name), entry.ingest_id):
        return table
    raise CommitError(
        f"Table {name} could not be committed ({type(last).__name__}).",
        "Nothing is lost: run the same command again.",
    ) from last


def has_ingest(table: IcebergTable, ingest_id: str) -> bool:
    """Return whether a snapshot of the table was made by an ingest."""
    return any(
        s.summary is not None and s.summary.get(INGEST_ID) == ingest_id
        for s in table.metadata.snapshots
    )


def commit_id(attempt: str, table: str, number: int) -> uuid.UUID:
    """Return the id in the names of the manifests that one try to commit writes."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{attempt}/{table}/{number}")


def close_attempt(warehouse: Warehouse, attempt: str, keep: Sequence[str] = ()) -> None:
    """Remove what an attempt left: its files that are not in the list, its journal and claim."""
    kept = set(keep)
    for table in warehouse.tables():
        folder = join(warehouse.location(table), "data", attempt)
        if not any(k.startswith(folder + "/") for k in kept):
            warehouse.files.delete_folder(folder)
            continue
        for found in warehouse.files.list(folder):
            if found.location not in kept:
                warehouse.files.delete(found.location)
    for part in (leases.JOURNAL, leases.CLAIM):
        warehouse.files.delete(join(warehouse.attempts, f"{attempt}.{part}"))


def recover(warehouse: Warehouse) -> list[str]:
    """Complete or clear up after processes that died; never touches a living one's work.

    Called at the start of every ingest and of maintenance; costs one listing when all is well.

    Returns:
        Ids of the ingests that were completed.
    """
    completed_now = []
    for attempt in list(leases.attempts(warehouse.files, warehouse.attempts)):
        if leases.alive(warehouse.files, warehouse.attempts, attempt):
            continue
        with exclusive(warehouse.state, "commit"):
            entry = journal.read(warehouse.files, warehouse.attempts, attempt.id)
            note = join(warehouse.attempts, f"{attempt.id}.{leases.DEAD}")
            if entry is not None:
                roll_forward(warehouse, entry)
                completed_now.append(entry.ingest_id)
            # The note outlives the lease until all is cleared, so that a second death here is
            # cleared as well; the lease goes first, so that a worker still writing notices.
            warehouse.files.replace(note, b"")
            warehouse.files.delete(join(warehouse.attempts, f"{attempt.id}.{leases.LEASE}"))
            close_attempt(
                warehouse, attempt.id, keep=journal.writes(entry) if entry is not None else ()
            )
            warehouse.files.delete(note)
    return completed_now

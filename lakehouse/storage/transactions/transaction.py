"""All or nothing across tables: journal, one commit per table, the ledger last, then the hints.

Iceberg commits one table at a time. So the list of all files is made durable first (the
journal); from then on the ingest will happen, by this process or by the next one that starts.
Each table is committed under its ingest's id and never twice: before every try the table's own
history is asked for the id, and the try is a compare-and-swap against the very state that was
asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import CommitError
from lakehouse.storage.commits.cleanup import clear_data
from lakehouse.storage.commits.compaction import compact
from lakehouse.storage.io.data_files import TARGET_BYTES, WrittenFile, write_tables
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import join
from lakehouse.storage.io.locks import exclusive
from lakehouse.storage.io.storage_errors import storage_errors
from lakehouse.storage.transactions import journal, leases
from lakehouse.storage.transactions.claims import claim
from lakehouse.storage.transactions.journal import Journal
from lakehouse.storage.transactions.ledger import FILES, HANDLED, INGESTS
from lakehouse.storage.transactions.roll_forward import roll_forward
from lakehouse.storage.warehouse import Warehouse

LEDGER_FILES = 50
"""Data files of a ledger table beyond which an ingest makes them one."""

LEDGER_TASK = 99_999
"""Task number of the files that the driver writes itself."""


class IngestTransaction:
    """One ingest: leases an attempt for its workers, and commits what they wrote.

    As a context manager it clears up after an ingest that failed. After a failure between two
    tables nothing is cleared: the journal is there, and ``recover`` completes the ingest.

    Args:
        warehouse: The warehouse.
        ingest_id: Id of the ingest, chosen by the caller and never used before.

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
        with storage_errors():
            self._lease = leases.Lease(warehouse.files, warehouse.attempts, "ingest")
        self.attempt = self._lease.attempt
        self._claimed = pa.array([], pa.string())  # a quarter of what a set of millions takes
        self._claims = 0
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

    def claim(self, file_ids: Iterable[str], *, again: bool = False) -> set[str]:
        """Take source files, so that no other ingest stores them at the same time.

        Args:
            file_ids: Keyed digests of the files' contents.
            again: Also take files that are in the ledger, to replay their rejects.

        Returns:
            Those to be read now; the others are stored already or another ingest is at them.
        """
        wanted = set(file_ids)
        if len(self._claimed):
            wanted = self._unclaimed(pa.array(wanted, pa.string()))
        granted = claim(
            self._warehouse, self.attempt, wanted, self._claims, () if again else HANDLED
        )
        self._claims += 1
        self._claimed = pa.concat_arrays([self._claimed, pa.array(granted, pa.string())])
        return granted

    def _unclaimed(self, file_ids: pa.Array | pa.ChunkedArray) -> set[str]:
        mine = pc.is_in(file_ids, self._claimed)
        return set(file_ids.filter(pc.invert(mine)).to_pylist())

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
        failpoint("files-written")
        with storage_errors():
            return self._commit(files, ledger)

    def _commit(
        self, files: Sequence[WrittenFile], ledger: Mapping[str, pa.Table]
    ) -> dict[str, int]:
        self._claim_rest(ledger)
        spec = self._warehouse.write_spec()
        listed = [*files, *write_tables(spec, ledger, self.attempt, LEDGER_TASK)]
        entry = Journal(self.ingest_id, self.attempt, tuple(listed))
        with exclusive(self._warehouse.state, "commit"):
            self._write_journal(entry)
            failpoint("journal-written")
            roll_forward(self._warehouse, entry)
        clear_data(self._warehouse, self.attempt, keep=journal.writes(entry))
        _tidy_ledger(self._warehouse, self.attempt)
        self._ended = True
        remove_attempt(self._warehouse, self.attempt, self._lease)
        return {n: sum(f.rows for f in fs) for n, fs in entry.by_table().items()}

    def _write_journal(self, entry: Journal) -> None:
        # Set first: when writing fails it is not known whether a journal is there, and files
        # that a journal lists are left to `recover`.
        self._journaled = True
        journal.write(self._warehouse.files, self._warehouse.attempts, entry)
        # Whoever takes this process for dead removes the lease before it looks for a journal. So
        # either they find it, or the lease is gone by now.
        if not self._lease.held:
            self._warehouse.files.delete(journal.location(self._warehouse.attempts, self.attempt))
            raise CommitError("This ingest was taken for dead.", "Run the same command again.")

    def _claim_rest(self, ledger: Mapping[str, pa.Table]) -> None:
        rest = self._unclaimed(ledger[FILES]["file_id"]) - {None} if FILES in ledger else set()
        if rest and self.claim(rest) != rest:
            raise CommitError(
                "Another ingest stored some of the same files meanwhile.",
                "Run the same command again: it stores what is left.",
            )

    def abort(self) -> None:
        """Remove what was written, unless it is committed or will be."""
        if self._ended:
            return
        self._ended = True
        if self._journaled:
            self._lease.release(remove=False)
            return
        clear_data(self._warehouse, self.attempt)
        remove_attempt(self._warehouse, self.attempt, self._lease)


def _tidy_ledger(warehouse: Warehouse, attempt: str) -> None:
    """Keep the ledger in few files: every ingest reads it, and thousands of small ones are slow."""
    for name in (FILES, INGESTS):
        snapshot = warehouse.iceberg(name).current_snapshot()
        summary = snapshot.summary if snapshot is not None else None
        if summary is not None and int(summary.get("total-data-files") or 0) > LEDGER_FILES:
            compact(warehouse, name, attempt, TARGET_BYTES)


def remove_attempt(warehouse: Warehouse, attempt: str, lease: leases.Lease | None = None) -> None:
    """Remove the files by which an attempt is known, the journal last.

    Without its journal a committed attempt would look like one that died while writing.
    """
    failpoint("before-lease-removed")
    if lease is not None:
        lease.release()
    for known in leases.attempts(warehouse.files, warehouse.attempts):
        if known.id == attempt:
            for part in known.parts.keys() - {leases.JOURNAL, leases.DEAD}:
                warehouse.files.delete(join(warehouse.attempts, f"{attempt}.{part}"))
    warehouse.files.delete(join(warehouse.attempts, f"{attempt}.{leases.DEAD}"))
    failpoint("before-journal-removed")
    warehouse.files.delete(journal.location(warehouse.attempts, attempt))

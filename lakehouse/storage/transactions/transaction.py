"""Transactions that commit an ingest to all tables or to none.

Iceberg commits one table at a time. So a transaction first makes the list of all files durable
(the journal). From then on the ingest will happen, by this process or by the next one that
starts: one commit per table, the ledger last, then the version hints. No table gets an ingest
twice. Every try looks for the ingest's id in the table's history, and is a compare-and-swap
against that very state.
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
from lakehouse.storage.io.locks import hold_lock
from lakehouse.storage.io.storage_errors import storage_errors
from lakehouse.storage.transactions import journal, leases
from lakehouse.storage.transactions.claims import claim_files
from lakehouse.storage.transactions.journal import Journal
from lakehouse.storage.transactions.ledger import FILES, HANDLED, INGESTS
from lakehouse.storage.transactions.roll_forward import roll_forward
from lakehouse.storage.warehouse import Warehouse

LEDGER_FILES = 50
"""Data files of a ledger table beyond which an ingest compacts it."""

LEDGER_TASK = 99_999
"""Task number of the data files that the driver itself writes."""


class IngestTransaction:
    """A transaction of one ingest: leases an attempt for its workers and commits what they wrote.

    As a context manager it clears up after an ingest that failed. After a failure between two
    tables it clears nothing: the journal exists, and ``recover`` completes the ingest.

    Args:
        warehouse: The warehouse.
        ingest_id: Id of the ingest; the caller chooses one that was never used before.

    Attributes:
        ingest_id: Id of the ingest.
        attempt: Id of this try, an argument of ``write_tables``.

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
        self._claimed_ids = pa.array([], pa.string())  # a quarter of what a set of millions takes
        self._n_claims = 0
        self._may_have_journal = False
        self._has_ended = False

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
        """Claim source files, so that no other ingest stores them at the same time.

        Args:
            file_ids: Keyed digests of the files' contents.
            again: Also claim files that are in the ledger, to replay their rejects.

        Returns:
            Files to read now; the others are stored already, or another ingest has claimed them.
        """
        new_files = set(file_ids)
        if len(self._claimed_ids):
            new_files = self._unclaimed(pa.array(new_files, pa.string()))
        granted = claim_files(
            self._warehouse, self.attempt, new_files, self._n_claims, () if again else HANDLED
        )
        self._n_claims += 1
        self._claimed_ids = pa.concat_arrays([self._claimed_ids, pa.array(granted, pa.string())])
        return granted

    def _unclaimed(self, file_ids: pa.Array | pa.ChunkedArray) -> set[str]:
        is_claimed = pc.is_in(file_ids, self._claimed_ids)
        return set(file_ids.filter(pc.invert(is_claimed)).to_pylist())

    def commit(
        self, files: Sequence[WrittenFile], ledger: Mapping[str, pa.Table]
    ) -> dict[str, int]:
        """Make the data files of an ingest and its ledger rows visible in all tables.

        Args:
            files: What ``write_tables`` returned in all workers.
            ledger: Rows of ``ingest_files`` and ``ingests``.

        Returns:
            Rows added, by table.

        Raises:
            CommitError: A table could not be committed; running the command again completes the
                ingest.
        """
        failpoint("files-written")
        with storage_errors():
            return self._commit(files, ledger)

    def _commit(
        self, files: Sequence[WrittenFile], ledger: Mapping[str, pa.Table]
    ) -> dict[str, int]:
        self._claim_rest(ledger)
        spec = self._warehouse.write_spec()
        all_files = [*files, *write_tables(spec, ledger, self.attempt, LEDGER_TASK)]
        entry = Journal(self.ingest_id, self.attempt, tuple(all_files))
        with hold_lock(self._warehouse.state, "commit"):
            self._write_journal(entry)
            failpoint("journal-written")
            roll_forward(self._warehouse, entry)
        clear_data(self._warehouse, self.attempt, keep=journal.file_locations(entry))
        _compact_ledger(self._warehouse, self.attempt)
        self._has_ended = True
        remove_attempt(self._warehouse, self.attempt, self._lease)
        return {n: sum(f.rows for f in fs) for n, fs in entry.by_table().items()}

    def _write_journal(self, entry: Journal) -> None:
        # Set first: when writing fails it is not known whether a journal is there, and only
        # `recover` may touch files that a journal lists.
        self._may_have_journal = True
        journal.write_journal(self._warehouse.files, self._warehouse.attempts, entry)
        # A process that takes this one for dead removes the lease before it looks for a journal.
        # So either it finds the journal, or the lease is gone by now.
        if not self._lease.is_held:
            self._warehouse.files.delete(
                journal.journal_location(self._warehouse.attempts, self.attempt)
            )
            raise CommitError("This ingest was taken for dead.", "Run the same command again.")

    def _claim_rest(self, ledger: Mapping[str, pa.Table]) -> None:
        unclaimed = self._unclaimed(ledger[FILES]["file_id"]) - {None} if FILES in ledger else set()
        if unclaimed and self.claim(unclaimed) != unclaimed:
            raise CommitError(
                "Another ingest stored some of the same files meanwhile.",
                "Run the same command again: it stores what is left.",
            )

    def abort(self) -> None:
        """Remove the data files and the lease, unless the files are committed or will be."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._may_have_journal:
            self._lease.release(remove=False)
            return
        clear_data(self._warehouse, self.attempt)
        remove_attempt(self._warehouse, self.attempt, self._lease)


def _compact_ledger(warehouse: Warehouse, attempt: str) -> None:
    """Compact the ledger, since every ingest reads it and thousands of small files are slow."""
    for name in (FILES, INGESTS):
        snapshot = warehouse.iceberg(name).current_snapshot()
        summary = snapshot.summary if snapshot is not None else None
        if summary is not None and int(summary.get("total-data-files") or 0) > LEDGER_FILES:
            compact(warehouse, name, attempt, TARGET_BYTES)


def remove_attempt(warehouse: Warehouse, attempt: str, lease: leases.Lease | None = None) -> None:
    """Remove the lease, claims and journal of an attempt, the journal last.

    Without its journal a committed attempt would look like one that died while writing.
    """
    failpoint("before-lease-removed")
    if lease is not None:
        lease.release()
    for entry in leases.list_attempts(warehouse.files, warehouse.attempts):
        if entry.id == attempt:
            for part in entry.parts.keys() - {leases.JOURNAL, leases.DEAD}:
                warehouse.files.delete(join(warehouse.attempts, f"{attempt}.{part}"))
    warehouse.files.delete(join(warehouse.attempts, f"{attempt}.{leases.DEAD}"))
    failpoint("before-journal-removed")
    warehouse.files.delete(journal.journal_location(warehouse.attempts, attempt))

"""Recovery: completes the ingests of killed processes and removes what they left behind.

Recovery rolls a dead attempt forward when it has a journal, and removes its files when it has
none. A doubt about a dead attempt must never cost a committed file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.storage.commits.cleanup import clear_data, sweep_metadata
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import join
from lakehouse.storage.io.locks import hold_lock
from lakehouse.storage.io.storage_errors import storage_errors
from lakehouse.storage.maintenance import release_records
from lakehouse.storage.transactions import journal, leases
from lakehouse.storage.transactions.ledger import completed_ingests
from lakehouse.storage.transactions.roll_forward import roll_forward
from lakehouse.storage.transactions.transaction import remove_attempt
from lakehouse.storage.warehouse import Warehouse


@contextmanager
def lease_attempt(warehouse: Warehouse, kind: str) -> Iterator[str]:
    """Lease an attempt for work on committed tables; clear up after it whether it fails or not.

    Args:
        warehouse: The warehouse.
        kind: What the attempt does: ``maintain``, ``release``, ``erase``.

    Yields:
        The id of the attempt.
    """
    with storage_errors():
        lease = leases.Lease(warehouse.files, warehouse.attempts, kind)
        try:
            yield lease.attempt
        except BaseException:
            lease.release(remove=False)
            recover(warehouse)
            raise
        remove_attempt(warehouse, lease.attempt, lease)


def recover(warehouse: Warehouse) -> list[str]:
    """Complete or undo the work of processes that died; never touches a living one's work.

    Every ingest and every maintenance run begins with it; it takes one listing when none died.

    Args:
        warehouse: The warehouse.

    Returns:
        Ids of the ingests that it completed.

    Raises:
        CommitError: A table could not be committed; the journal stays.
    """
    ingest_ids = []
    for attempt in list(leases.list_attempts(warehouse.files, warehouse.attempts)):
        if leases.is_alive(warehouse.files, warehouse.attempts, attempt):
            continue
        with hold_lock(warehouse.state, "commit"):
            _mark_dead(warehouse, attempt.id)
            entry = journal.read_journal(warehouse.files, warehouse.attempts, attempt.id)
            # The ledger proves that an ingest is in every table: later commits may have dropped
            # the snapshots that would say so.
            if entry is not None:
                if not completed_ingests(warehouse, [entry.ingest_id]):
                    roll_forward(warehouse, entry)
                ingest_ids.append(entry.ingest_id)
            release_records.repair_tags(warehouse, attempt.id)
            for table in warehouse.tables():
                sweep_metadata(warehouse, table, attempt.id)
            warehouse.refresh_hints()
            committed_files = journal.file_locations(entry) if entry is not None else ()
            clear_data(warehouse, attempt.id, committed_files, check=True)
            failpoint("recover-swept")
            remove_attempt(warehouse, attempt.id)
    return ingest_ids


def _mark_dead(warehouse: Warehouse, attempt: str) -> None:
    # The mark outlives the lease, so that recovery also survives a kill of its own. The lease goes
    # before the files, so that a worker that is still writing notices.
    warehouse.files.replace(join(warehouse.attempts, f"{attempt}.{leases.DEAD}"), b"")
    warehouse.files.delete(join(warehouse.attempts, f"{attempt}.{leases.LEASE}"))
    failpoint("recover-noted")

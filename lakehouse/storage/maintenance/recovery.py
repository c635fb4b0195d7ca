"""Completes what a killed process began, and clears what one left behind.

An attempt whose process died is rolled forward where its journal lists all files, and swept
where it does not; no doubt about a dead attempt may cost a committed file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.storage.commits.cleanup import clear_data, sweep_metadata
from lakehouse.storage.io.failpoints import failpoint
from lakehouse.storage.io.files import join
from lakehouse.storage.io.locks import exclusive
from lakehouse.storage.io.storage_errors import storage_errors
from lakehouse.storage.maintenance import release_records
from lakehouse.storage.transactions import journal, leases
from lakehouse.storage.transactions.ledger import completed
from lakehouse.storage.transactions.roll_forward import roll_forward
from lakehouse.storage.transactions.transaction import remove_attempt
from lakehouse.storage.warehouse import Warehouse


@contextmanager
def lease_attempt(warehouse: Warehouse, kind: str) -> Iterator[str]:
    """Lease an attempt for work on committed tables; what it leaves is cleared, come what may.

    Args:
        warehouse: The warehouse.
        kind: What the attempt does.

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
    """Complete or clear up after processes that died; never touches a living one's work.

    Called at the start of every ingest and of maintenance; costs one listing when all is well.

    Args:
        warehouse: The warehouse.

    Returns:
        Ids of the ingests that were completed.

    Raises:
        CommitError: A table could not be committed; the journal stays.
    """
    rolled = []
    for attempt in list(leases.attempts(warehouse.files, warehouse.attempts)):
        if leases.alive(warehouse.files, warehouse.attempts, attempt):
            continue
        with exclusive(warehouse.state, "commit"):
            _mark_dead(warehouse, attempt.id)
            entry = journal.read(warehouse.files, warehouse.attempts, attempt.id)
            # An ingest in the ledger is in every table, though later commits may have dropped
            # the snapshots that would say so.
            if entry is not None:
                if not completed(warehouse, [entry.ingest_id]):
                    roll_forward(warehouse, entry)
                rolled.append(entry.ingest_id)
            release_records.repair_tags(warehouse, attempt.id)
            for table in warehouse.tables():
                sweep_metadata(warehouse, table, attempt.id)
            warehouse.refresh_hints()
            kept = journal.writes(entry) if entry is not None else ()
            clear_data(warehouse, attempt.id, kept, check=True)
            failpoint("recover-swept")
            remove_attempt(warehouse, attempt.id)
    return rolled


def _mark_dead(warehouse: Warehouse, attempt: str) -> None:
    # The note outlives the lease, so that a second death in here is cleared as well. The lease
    # goes before the files, so that a worker still writing notices.
    warehouse.files.replace(join(warehouse.attempts, f"{attempt}.{leases.DEAD}"), b"")
    warehouse.files.delete(join(warehouse.attempts, f"{attempt}.{leases.LEASE}"))
    failpoint("recover-noted")

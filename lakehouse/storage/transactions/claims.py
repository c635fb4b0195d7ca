"""Which source files an attempt has taken, so that two ingests at once do not both store one.

The ledger only knows a file when its ingest is complete. Until then a claim says that somebody is
at it. A claim is written once and never changed; of two claims on one file the earlier counts. On
a disk a lock puts them in order. In an object store the store's own clock does, after a pause in
which every claim that could carry the same time has become visible.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable

from lakehouse.storage.io.files import is_local, join
from lakehouse.storage.io.locks import exclusive
from lakehouse.storage.transactions import leases
from lakehouse.storage.transactions.ledger import HANDLED, known_files
from lakehouse.storage.warehouse import Warehouse

SETTLE_SECONDS = 2.0
"""Object stores tell times in whole seconds; a claim waits until the second is surely over."""


def claim(
    warehouse: Warehouse,
    attempt: str,
    file_ids: Iterable[str],
    number: int,
    statuses: Collection[str] = HANDLED,
) -> set[str]:
    """Take source files for an attempt.

    Args:
        warehouse: The warehouse.
        attempt: The attempt.
        file_ids: Keyed digests of the files' contents.
        number: Of this claim among those of the attempt.
        statuses: Statuses in the ledger that count as stored; none, to store files again.

    Returns:
        Those that this attempt may store: neither in the ledger nor taken by a living ingest.
    """
    wanted = set(file_ids)
    own = join(warehouse.attempts, f"{attempt}.{leases.CLAIM}{number}")
    with exclusive(warehouse.state, "claims"):
        if is_local(warehouse.path):
            wanted -= _taken(warehouse, attempt, None)
            warehouse.files.replace(own, _listed(wanted))
        else:
            warehouse.files.replace(own, _listed(wanted))
            time.sleep(SETTLE_SECONDS)
            written = next(e for e in warehouse.files.list(warehouse.attempts) if e.location == own)
            wanted -= _taken(warehouse, attempt, written.modified)
    # The ledger is asked after the claims: an ingest that completes in between is in one or the
    # other.
    wanted -= known_files(warehouse, wanted, statuses)
    return wanted


def _listed(file_ids: set[str]) -> bytes:
    return json.dumps(sorted(file_ids)).encode()


def _taken(warehouse: Warehouse, attempt: str, before: float | None) -> set[str]:
    """Return what others have claimed; with a time, only by claims that come before it."""
    found: set[str] = set()
    for other in leases.attempts(warehouse.files, warehouse.attempts):
        if other.id == attempt or not (
            leases.JOURNAL in other.parts
            or leases.alive(warehouse.files, warehouse.attempts, other)
        ):
            continue
        for part, written in other.parts.items():
            earlier = before is None or (written, other.id) < (before, attempt)
            if part.startswith(leases.CLAIM) and earlier:
                content = warehouse.files.read(join(warehouse.attempts, f"{other.id}.{part}"))
                found.update(json.loads(content) if content else ())
    return found

"""Claims source files for an attempt, so that two concurrent ingests never store the same file.

The ledger knows a file only once its ingest is complete; until then a claim says that an ingest
has taken it. A claim never changes, and of two claims on one file the earlier counts. On a disk a
lock puts them in order. In an object store the store's clock does, after a pause in which every
claim that could carry the same time becomes visible.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable

from lakehouse.storage.io.files import is_local, join
from lakehouse.storage.io.locks import hold_lock
from lakehouse.storage.transactions import leases
from lakehouse.storage.transactions.ledger import HANDLED, known_files
from lakehouse.storage.warehouse import Warehouse

SETTLE_SECONDS = 2.0
"""Pause after a claim in an object store: its times are whole seconds, so this one is then over."""


def claim_files(
    warehouse: Warehouse,
    attempt: str,
    file_ids: Iterable[str],
    number: int,
    statuses: Collection[str] = HANDLED,
) -> set[str]:
    """Claim source files for an attempt.

    Args:
        warehouse: The warehouse.
        attempt: Id of the attempt.
        file_ids: Keyed digests of the files' contents.
        number: Number of this claim within the attempt.
        statuses: Statuses in the ledger that count as stored; none, to store files again.

    Returns:
        Files that this attempt may store: neither in the ledger nor claimed by a living ingest.
    """
    new_files = set(file_ids)
    own = join(warehouse.attempts, f"{attempt}.{leases.CLAIM}{number}")
    with hold_lock(warehouse.state, "claims"):
        if is_local(warehouse.path):
            new_files -= _claimed_by_others(warehouse, attempt, None)
            warehouse.files.replace(own, _to_json(new_files))
        else:
            warehouse.files.replace(own, _to_json(new_files))
            time.sleep(SETTLE_SECONDS)
            entry = next(e for e in warehouse.files.list(warehouse.attempts) if e.location == own)
            new_files -= _claimed_by_others(warehouse, attempt, entry.modified)
    # This order of claims and ledger finds an ingest that completes in between in one of them.
    new_files -= known_files(warehouse, new_files, statuses)
    return new_files


def _to_json(file_ids: set[str]) -> bytes:
    return json.dumps(sorted(file_ids)).encode()


def _claimed_by_others(warehouse: Warehouse, attempt: str, before: float | None) -> set[str]:
    """Return the files that other attempts have claimed, with a time only by earlier claims."""
    claimed: set[str] = set()
    for other in leases.list_attempts(warehouse.files, warehouse.attempts):
        if other.id == attempt or not (
            leases.JOURNAL in other.parts
            or leases.is_alive(warehouse.files, warehouse.attempts, other)
        ):
            continue
        for part, claimed_at in other.parts.items():
            earlier = before is None or (claimed_at, other.id) < (before, attempt)
            if part.startswith(leases.CLAIM) and earlier:
                content = warehouse.files.read(join(warehouse.attempts, f"{other.id}.{part}"))
                claimed.update(json.loads(content) if content else ())
    return claimed

"""File locks that let one process at a time commit, where the storage has locks.

On a disk a lock makes commits follow one another, so that no reader sees half of an ingest
because another one finished. Correctness does not depend on it: every commit is also a
compare-and-swap in the catalog, and an object store has nothing else.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.storage.io.files import is_local, join, normalise


@contextmanager
def hold_lock(folder: str, name: str) -> Iterator[None]:
    """Hold a lock of the warehouse; the system frees it when the process ends, however it ends.

    Args:
        folder: Folder of the lock files; in an object store there is no lock.
        name: Name of the lock: ``commit`` or ``claims``.
    """
    if not is_local(folder):
        yield
        return
    path = Path(normalise(join(folder, f"{name}.lock")))
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

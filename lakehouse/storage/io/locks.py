"""One process at a time, where the storage can say so.

On a disk a lock makes commits follow one another, so that a reader never sees half of one ingest
because another one finished. Correctness does not hang on it: every commit is also a
compare-and-swap in the catalog, which is all there is in an object store.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.storage.io.files import is_local, join, normalise


@contextmanager
def exclusive(folder: str, name: str) -> Iterator[None]:
    """Hold a lock of the warehouse; the system frees it when the process ends, however it ends.

    Args:
        folder: Folder of the lock files; without effect in an object store.
        name: What is locked: ``commit``, ``claims``.
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

"""Where Arrow's memory comes from while rows are read and written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa


@contextmanager
def system_allocator() -> Iterator[None]:
    """Have Arrow allocate as the C library does, and put back what was there before.

    Columns live for one batch here. Arrow's default allocator gives such memory back to the
    kernel at once and takes it anew for the next batch: a fifth of an ingest's processor time went
    there, and its peak is no lower for it. ``ARROW_DEFAULT_MEMORY_POOL`` keeps the last word.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" in os.environ:
        yield
        return
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)

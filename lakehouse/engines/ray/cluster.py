"""A Ray cluster for as long as an ingest needs one, set up to be quiet and to fail as a whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import ray
from ray.data import DataContext

from lakehouse.errors import EngineError
from lakehouse.pipeline.progress import Progress
from lakehouse.pipeline.reports import Tally

BLOCK_BYTES = 16 << 20
"""Size at which Ray closes a block of rows."""

STORE_BYTES = 2 << 30
"""Ray's object store on a machine of its own, at most; more spills to disk, all de-identified."""

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody outside learns that this cluster exists
    "RAY_worker_niceness": "0",  # Ray's own 15 starves workers on a busy machine
}


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Have a cluster: the one this process uses already, the one named, or a new local one.

    Raises:
        EngineError: The cluster cannot be reached, or Ray does not start.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not ray.is_initialized():
        options: dict[str, Any] = {"address": address or "local", "log_to_driver": False}
        if address is None:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            options |= {
                "include_dashboard": False,
                "object_store_memory": min(STORE_BYTES, memory // 5),
            }
        try:
            ray.init(logging_level=logging.ERROR, **options)
        except Exception as error:
            raise EngineError(
                f"Ray could not be {'reached' if address else 'started'} ({type(error).__name__}).",
                "Check the address, or use --engine local.",
            ) from None
    with _quiet_and_strict():
        yield


@contextmanager
def _quiet_and_strict() -> Iterator[None]:
    """Set what Ray Data does while we use it; a person's own settings come back afterwards."""
    context = DataContext.get_current()
    wanted: dict[str, Any] = {
        "target_max_block_size": BLOCK_BYTES,
        "max_errored_blocks": 0,  # anything else drops good neighbours without a word
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "enable_auto_log_stats": False,
        "raise_original_map_exception": True,
        # kept apart, reading and writing would have half of the cores each, whatever there is to do
        "op_resource_reservation_enabled": False,
    }
    before = {name: getattr(context, name) for name in wanted}
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.CRITICAL)
    for name, value in wanted.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)


class _Counter:
    """Adds up what workers have done; asked by the progress bar."""

    def __init__(self) -> None:
        self._new = Tally()

    def add(self, tally: Tally) -> None:
        self._new += tally

    def take(self) -> Tally:
        taken, self._new = self._new, Tally()
        return taken


@contextmanager
def watched(progress: Progress) -> Iterator[Any]:
    """Have a counter that workers tell their work, when somebody looks."""
    if not progress.enabled:
        yield None
        return
    counter = ray.remote(num_cpus=0)(_Counter).remote()
    done = Event()

    def watch() -> None:
        while not done.wait(0.5):
            progress.advance(ray.get(counter.take.remote()))

    watcher = Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield counter
    finally:
        done.set()
        watcher.join()
        progress.advance(ray.get(counter.take.remote()))
        ray.kill(counter)

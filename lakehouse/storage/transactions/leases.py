"""Leases that show which attempts are at work, each kept alive by a heartbeat.

An attempt is one try of an ingest or of maintenance. Its lease names the process and the machine
that make it. On the same machine the process table tells whether it lives; elsewhere the age of
the heartbeat does. No other process touches what belongs to a living attempt.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lakehouse.storage.io.files import Files, join

BEAT_SECONDS = 30.0
DEAD_AFTER_SECONDS = 600.0
"""Age of the last heartbeat at which a process of another machine counts as dead."""

LEASE, CLAIM, JOURNAL, DEAD = "lease", "claim", "journal", "dead"
"""Endings of an attempt's files: its lease, its claims on source files (numbered), its journal,
and the mark that recovery clears up after it."""


@dataclass(frozen=True)
class Attempt:
    """An attempt as its files in the storage show it.

    Attributes:
        id: Unique id; ids sort by time.
        parts: Time at which each of its files was last written, by ending.
    """

    id: str
    parts: dict[str, float]


def new_attempt() -> str:
    """Return a new attempt id; ids sort by time."""
    return f"{time.time_ns() // 1_000_000:013x}-{uuid.uuid4().hex[:12]}"


@cache
def machine_id() -> str:
    """Return an id of this boot of this machine (and, in a container, of its process table)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return f"{platform.node()}/{uuid.getnode():x}"


def start_time(pid: int) -> str | None:
    """Return when a process started, by the machine's own count, or None when it does not exist.

    The start tells a process from a later one with the same number.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return ""
        return ""
    except OSError:
        return ""
    # The command's name may hold spaces and brackets, so the count of fields begins after it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


_open_leases: weakref.WeakValueDictionary[str, Lease] = weakref.WeakValueDictionary()


class Lease:
    """Shows that this process works on an attempt, until ``release`` or the end of the process.

    Args:
        files: Access to the storage.
        folder: Folder of the attempts.
        kind: What the attempt does: ``ingest``, ``maintain`` ...
    """

    def __init__(self, files: Files, folder: str, kind: str) -> None:
        self.attempt = new_attempt()
        self._files = files
        self._location = join(folder, f"{self.attempt}.{LEASE}")
        self._content = json.dumps(
            {
                "kind": kind,
                "machine": machine_id(),
                "pid": os.getpid(),
                "started": start_time(os.getpid()),
            }
        ).encode()
        self._stop = threading.Event()
        files.replace(self._location, self._content)
        _open_leases[self.attempt] = self
        heart = threading.Thread(
            target=_beat, args=(weakref.ref(self), self._stop), name="lease", daemon=True
        )
        heart.start()

    @property
    def is_held(self) -> bool:
        """Whether the lease still exists: no other process took this one for dead."""
        return self._files.exists(self._location)

    def beat(self) -> None:
        """Renew the heartbeat, unless another process removed the lease."""
        if self.is_held:
            self._files.replace(self._location, self._content, durable=False)

    def release(self, *, remove: bool = True) -> None:
        """End the lease.

        Args:
            remove: Also remove the lease's file; otherwise ``recover`` clears up after the attempt.
        """
        self._stop.set()
        _open_leases.pop(self.attempt, None)
        if remove:
            self._files.delete(self._location)


def _beat(lease: weakref.ref[Lease], stop: threading.Event) -> None:
    # The thread holds no strong reference, so that a lease ends when nothing else refers to it.
    while not stop.wait(BEAT_SECONDS):
        living = lease()
        if living is None:
            return
        try:
            living.beat()
        except OSError:
            # DEAD_AFTER_SECONDS allows for many missed beats.
            continue
        finally:
            del living


def list_attempts(files: Files, folder: str) -> Iterator[Attempt]:
    """Yield every attempt that has a file in the storage, oldest first."""
    parts_by_attempt: dict[str, dict[str, float]] = {}
    for entry in files.list(folder, recursive=False):
        attempt, _, part = entry.location.rsplit("/", 1)[-1].rpartition(".")
        is_part = part in (LEASE, JOURNAL, DEAD) or part.startswith(CLAIM)
        if is_part and not attempt.startswith("."):
            parts_by_attempt.setdefault(attempt, {})[part] = entry.modified
    for attempt in sorted(parts_by_attempt):
        yield Attempt(attempt, parts_by_attempt[attempt])


def is_alive(files: Files, folder: str, attempt: Attempt) -> bool:
    """Return whether the process of an attempt may still be at work."""
    if LEASE not in attempt.parts or DEAD in attempt.parts:
        return False
    content = files.read(join(folder, f"{attempt.id}.{LEASE}"))
    if content is None:
        return False
    try:
        lease = json.loads(content)
        is_this_machine = lease["machine"] == machine_id()
        pid, start = int(lease["pid"]), lease["started"]
    except (ValueError, KeyError, TypeError):
        return time.time() - attempt.parts[LEASE] < DEAD_AFTER_SECONDS
    if not is_this_machine:
        return time.time() - attempt.parts[LEASE] < DEAD_AFTER_SECONDS
    if pid == os.getpid() and start == start_time(pid):
        return attempt.id in _open_leases
    return bool(start_time(pid) == start)

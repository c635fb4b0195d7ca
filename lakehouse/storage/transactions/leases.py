"""Who is at work: one lease per attempt, kept alive by a heartbeat.

An attempt is one try of an ingest or of maintenance. Its lease says which process on which
machine makes it. On the same machine the process table answers whether it lives; elsewhere the
age of the heartbeat does. What belongs to a living attempt is never touched by others.
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
"""Without a heartbeat for this long, a process of another machine counts as dead."""

LEASE, CLAIM, JOURNAL, DEAD = "lease", "claim", "journal", "dead"
"""Endings of the files of an attempt: its lease, the source files it took (numbered), its journal,
and the note that someone is clearing up after it."""


@dataclass(frozen=True)
class Attempt:
    """The files by which an attempt is known.

    Attributes:
        id: Time-ordered and unique.
        parts: When each of its files was last written, by ending.
    """

    id: str
    parts: dict[str, float]


def new_attempt() -> str:
    """Return a fresh id; ids sort by time."""
    return f"{time.time_ns() // 1_000_000:013x}-{uuid.uuid4().hex[:12]}"


@cache
def machine() -> str:
    """Return an id of this boot of this machine (and, in a container, of its process table)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return f"{platform.node()}/{uuid.getnode():x}"


def started(pid: int) -> str | None:
    """Return when a process began in the machine's own count, or None when there is none.

    The start tells a process from a later one that was given the same number.
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
    # The command's name may hold spaces and brackets; fields are counted from its end.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


_open: weakref.WeakValueDictionary[str, Lease] = weakref.WeakValueDictionary()


class Lease:
    """The sign that this process is at work on an attempt; ends with ``release`` or the process.

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
                "machine": machine(),
                "pid": os.getpid(),
                "started": started(os.getpid()),
            }
        ).encode()
        self._stop = threading.Event()
        files.replace(self._location, self._content)
        _open[self.attempt] = self
        heart = threading.Thread(
            target=_beat, args=(weakref.ref(self), self._stop), name="lease", daemon=True
        )
        heart.start()

    @property
    def held(self) -> bool:
        """Whether the lease is still there: nobody took this process for dead."""
        return self._files.exists(self._location)

    def beat(self) -> None:
        """Renew the heartbeat, unless the lease was taken away."""
        if self.held:
            self._files.replace(self._location, self._content, durable=False)

    def release(self, *, remove: bool = True) -> None:
        """End the lease.

        Args:
            remove: Also remove its file; otherwise ``recover`` clears up after the attempt.
        """
        self._stop.set()
        _open.pop(self.attempt, None)
        if remove:
            self._files.delete(self._location)


def _beat(lease: weakref.ref[Lease], stop: threading.Event) -> None:
    # The thread holds no strong reference: a lease that nobody holds ends.
    while not stop.wait(BEAT_SECONDS):
        held = lease()
        if held is None:
            return
        try:
            held.beat()
        except OSError:
            # One beat missed; DEAD_AFTER_SECONDS allows for many.
            continue
        finally:
            del held


def attempts(files: Files, folder: str) -> Iterator[Attempt]:
    """Yield every attempt that left a file, oldest first."""
    found: dict[str, dict[str, float]] = {}
    for entry in files.list(folder, recursive=False):
        attempt, _, part = entry.location.rsplit("/", 1)[-1].rpartition(".")
        known = part in (LEASE, JOURNAL, DEAD) or part.startswith(CLAIM)
        if known and not attempt.startswith("."):
            found.setdefault(attempt, {})[part] = entry.modified
    for attempt in sorted(found):
        yield Attempt(attempt, found[attempt])


def alive(files: Files, folder: str, attempt: Attempt) -> bool:
    """Return whether the process of an attempt may still be at work."""
    if LEASE not in attempt.parts or DEAD in attempt.parts:
        return False
    content = files.read(join(folder, f"{attempt.id}.{LEASE}"))
    if content is None:
        return False
    try:
        lease = json.loads(content)
        same = lease["machine"] == machine()
        pid, start = int(lease["pid"]), lease["started"]
    except (ValueError, KeyError, TypeError):
        return time.time() - attempt.parts[LEASE] < DEAD_AFTER_SECONDS
    if not same:
        return time.time() - attempt.parts[LEASE] < DEAD_AFTER_SECONDS
    if pid == os.getpid() and start == started(pid):
        return attempt.id in _open
    return bool(started(pid) == start)

"""Failpoints: named places at which a test kills the process for real.

The promise "a kill at any point loses nothing" is worth as much as its tests. They set
``LAKEHOUSE_CRASH_AT`` to a name and run the command in a process of its own. SIGKILL ends it
there: no handler, no ``finally``, no flush. Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "LAKEHOUSE_CRASH_AT"

ONCE = "LAKEHOUSE_CRASH_ONCE"
"""Variable with the path of a file that does not exist yet. Only the process that creates it
dies, so that the worker which replaces it lives."""


def failpoint(name: str) -> None:
    """Kill the process if ``LAKEHOUSE_CRASH_AT`` names this point.

    Args:
        name: ``parsing``, ``writing:<table>``, ``files-written``, ``journal-written``,
            ``committed:<table>``, ``before-ledger``, ``before-hint``, ``maintain-<step>``,
            ``erase-<step>`` ...

    Examples:
        >>> failpoint("journal-written")
    """
    if os.environ.get(VARIABLE) != name:
        return
    if mark := os.environ.get(ONCE):
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)

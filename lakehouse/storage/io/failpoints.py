"""Named places at which a test can kill the process for real.

A promise of the kind "a kill at any point loses nothing" is worth what its tests do. They set
``LAKEHOUSE_CRASH_AT`` to a name, run the command in a process of its own, and the process ends
there by SIGKILL: no handler, no ``finally``, no flush. Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "LAKEHOUSE_CRASH_AT"

ONCE = "LAKEHOUSE_CRASH_ONCE"
"""Names a file that does not exist yet: only the process that can make it dies, so that a worker
which is started again in its place lives."""


def failpoint(name: str) -> None:
    """Kill the process if the test asked for it at this point.

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

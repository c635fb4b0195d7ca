"""Named places at which a test can kill the process for real.

A promise of the kind "a kill at any point loses nothing" is worth what its tests do. They set
``LAKEHOUSE_CRASH_AT`` to a name, run the command in a process of its own, and the process ends
there by SIGKILL: no handler, no ``finally``, no flush. Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "LAKEHOUSE_CRASH_AT"


def reached(name: str) -> None:
    """Kill the process if the test asked for it at this point.

    Args:
        name: ``parsing``, ``files-written``, ``journal-written``, ``committed:<table>``,
            ``before-ledger``, ``before-hint``, ``maintain-<step>``, ``erase-<step>`` ...

    Examples:
        >>> reached("journal-written")
    """
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)

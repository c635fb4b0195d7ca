"""Running commands as a person does: in this process, as a process, and on a terminal."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ADMISSION = (
    "MSH|^~\\&|ADT|MERCY|LAKE|MERCY|20240115083000||ADT^A01|{control}|P|2.5\r"
    "EVN|A01|20240115083000\r"
    "PID|1||{number}^^^MERCY^MR||Doe^Jane||19800101|F|||12 Main St^^Springfield^IL^62701\r"
    "PV1|1|I|3W^301^A||||1234^Smith^John|||MED||||||||V{number}^^^MERCY^VN\r"
)


@dataclass
class Ran:
    """What one command left behind."""

    code: int
    out: str
    err: str


Lakehouse = Callable[..., Ran]


def launched(arguments: list[str], folder: Path, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "lakehouse.cli", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def on_a_terminal(arguments: list[str], folder: Path, columns: int) -> str:
    """Return what a command prints on a terminal of some width."""
    # A worker of xdist has a width of its own in its environment.
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "lakehouse.cli", *arguments],
        cwd=folder,
        env=environment | {"XDG_CONFIG_HOME": str(folder / "config"), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:
        while piece := terminal.read(1 << 16):
            shown += piece
    assert process.wait(60) == 0
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.decode()).replace("\r\n", "\n")

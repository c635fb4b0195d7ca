"""One command of a guide, run in a process that was forked with the imports already done.

``test_guides`` hands over ``arguments``, ``folder``, ``environment`` and ``output`` (a file for
what the command prints).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    output: str

os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
with Path(output).open("wb") as printed, Path(f"{output}.errors").open("wb") as errors:
    os.dup2(printed.fileno(), 1)
    os.dup2(errors.fileno(), 2)
with Path(os.devnull).open("rb") as nothing:
    os.dup2(nothing.fileno(), 0)

from lakehouse.cli import run  # noqa: E402 - only now does it see the surroundings it is given

code = run(arguments)
sys.stdout.flush()
sys.stderr.flush()
sys.exit(code)

"""One command of a guide, run in a process that was forked with the imports already done.

``test_guides`` hands over ``arguments``, ``folder``, ``environment`` and ``output``, a file for
what the command prints; beside it lies one for what it says on standard error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

given = globals()
os.chdir(given["folder"])
os.environ.clear()
os.environ.update(given["environment"])
with (
    Path(os.devnull).open("rb") as nothing,
    Path(given["output"]).open("wb") as printed,
    Path(f"{given['output']}.errors").open("wb") as errors,
):
    for stream, file in enumerate((nothing, printed, errors)):
        os.dup2(file.fileno(), stream)

from lakehouse.cli import run  # noqa: E402 - only now does it see the surroundings it is given

code = run(given["arguments"])
sys.stdout.flush()
sys.stderr.flush()
sys.exit(code)

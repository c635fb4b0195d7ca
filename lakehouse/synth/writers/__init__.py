"""The contract of writers, which turn patients into files, and their discovery.

A writer is one module (or package) in this folder that exposes ``WRITER``. No list names them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol

from lakehouse.synth.life import Patient


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a writer.

    Attributes:
        malformed: Share of records that are damaged on purpose.
        duplicates: Share of records that arrive twice, byte for byte.
        late: Share of records that arrive hours or days after they were made.
        per_file: Records a file holds at most.
    """

    malformed: float = 0.001
    duplicates: float = 0.002
    late: float = 0.01
    per_file: int = 500


class Writer(Protocol):
    """Writes the files of one format from the records of patients.

    Attributes:
        name: Name of the format; the files go into a folder of this name.
        doc: What it writes, one sentence.
    """

    name: str
    doc: str

    def write(
        self, folder: Path, lives: Sequence[Patient], part: int, options: Options
    ) -> Mapping[str, int]:
        """Write some patients and return counts, ``files`` among them.

        ``part`` numbers these patients' share of the hospital, from 0, for the file names. The
        bytes written for a patient depend on the patient and the options alone.
        """
        ...


@cache
def writers() -> dict[str, Writer]:
    """Return every writer by name."""
    found: dict[str, Writer] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, "WRITER"):
            found[loaded.WRITER.name] = loaded.WRITER
    return found

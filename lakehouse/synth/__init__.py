"""A generator of synthetic patients: linked, reproducible records in the formats of a hospital.

`write` makes files, `patients` yields the lives behind them. Nothing in here is a real person:
names are drawn from pools, telephone numbers and social security numbers from ranges that are
given to nobody.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from lakehouse.errors import InputError, did_you_mean
from lakehouse.synth.life import Patient
from lakehouse.synth.simulate import patient, patients
from lakehouse.synth.writers import Options, writers

__all__ = ["Options", "Patient", "patient", "patients", "write", "writers"]

PART = 200
"""Patients held in memory at a time."""


def write(
    folder: str | Path,
    patients: int = 100,
    years: float = 3,
    seed: int = 1,
    formats: Iterable[str] | None = None,
    *,
    options: Options | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Write a synthetic hospital and return the counts of its files and records.

    The same arguments give the same bytes. Patient 7 is the same person, with the same messages,
    whatever the number of patients.

    Args:
        folder: Where to write, empty or made now; each format gets a folder of its own in it.
        patients: How many.
        years: How long the period is, at least a month.
        seed: Another seed, another hospital.
        formats: Names of the formats to write; every known one by default.
        options: Shares of damaged, late and doubled records, and how many a file holds.
        progress: Called with the patients done and their total.

    Returns:
        ``patients``, and for each format its counts, as ``hl7v2.messages`` or ``hl7v2.files``.

    Raises:
        InputError: There is no such format, a number is out of range, or the folder is not empty
            or cannot be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(folder, patients=2, years=1, formats=["hl7v2"])["patients"]
        2
    """
    if patients < 0 or patients > 2_000_000 or not 1 / 12 <= years <= 40:
        raise InputError(
            "The number of patients or years is out of range.",
            "Ask for up to 2,000,000 patients and 1 month to 40 years.",
        )
    known = writers()
    names = list(known) if formats is None else list(formats)
    for name in names:
        if name not in known:
            raise InputError(
                f"The synthetic hospital does not write {name}.",
                did_you_mean(name, known) or f"Choose one of: {', '.join(known)}.",
            )
    counts: Counter[str] = Counter(patients=patients)
    lives = (patient(i, years, seed) for i in range(patients))
    done = part = 0
    with _empty(Path(folder)):
        while chunk := list(_counted(islice(lives, PART), done, patients, progress)):
            for name in names:
                made = known[name].write(Path(folder) / name, chunk, part, options or Options())
                counts.update({f"{name}.{what}": number for what, number in made.items()})
            done += len(chunk)
            part += 1
    return dict(counts)


@contextmanager
def _empty(folder: Path) -> Iterator[None]:
    """Create the folder; refuse one with files, because two hospitals would mix."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(
                f"{folder} is not empty, and two hospitals in one folder would be mixed.",
                "Name another folder, or empty it.",
            )
        yield
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else type(error).__name__
        raise InputError(f"{folder} cannot be written ({why}).", "Name another folder.") from None


def _counted(
    lives: Iterable[Patient], done: int, total: int, progress: Callable[[int, int], None] | None
) -> Iterable[Patient]:
    for life in lives:
        done += 1
        yield life
        if progress:
            progress(done, total)

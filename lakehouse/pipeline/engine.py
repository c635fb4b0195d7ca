"""The contract of engines: what an engine gets and returns, and how its name selects it.

An engine is a module of ``lakehouse/engines`` with a function ``run``. Only the chosen one is
imported, so that the local engine never loads Ray.
"""

from __future__ import annotations

import pkgutil
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Protocol, cast

from lakehouse.batch import CleanBatch
from lakehouse.errors import UserError, did_you_mean
from lakehouse.pipeline.progress import Progress
from lakehouse.pipeline.reading import ReadOptions
from lakehouse.pipeline.reports import FileReport, Tally
from lakehouse.sources.input_file import InputFile
from lakehouse.storage.io.data_files import WriteSpec, WrittenFile

AUTO, LOCAL, RAY = "auto", "local", "ray"

AUTO_BYTES = 512 << 20
"""``--engine auto`` takes Ray from this many bytes of unpacked content on. Starting Ray costs 20
to 30 s; below this, on two cores, the local engine is through before Ray has made up for it."""


@dataclass(frozen=True)
class ProcessConfig:
    """How files are read and de-identified; travels to workers, and holds no secret.

    Attributes:
        options: How files are read.
        key_path: Path of the secret, from which each worker loads it.
        profile: De-identification profile.
        codes: Folders with a site's own code sets.
        tombstones: Tombstones of erased patients, who must not come back.
    """

    options: ReadOptions
    key_path: str
    profile: str
    codes: tuple[str, ...] = ()
    tombstones: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ProcessedBatch:
    """De-identified rows, the reports of the files that ended with them, and a tally of both."""

    batch: CleanBatch
    reports: list[FileReport] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class EngineJob:
    """The files of one ingest and where their rows go.

    Attributes:
        files: Files to read.
        config: How to read and de-identify each.
        spec: How to write data files.
        attempt: Id of the attempt that the data files belong to.
        address: Address of a running Ray cluster, or None.
    """

    files: Collection[InputFile]
    config: ProcessConfig
    spec: WriteSpec = field(repr=False)
    attempt: str = ""
    address: str | None = None


@dataclass(frozen=True)
class EngineResult:
    """Data files that no commit has made visible yet, and a report on every file read."""

    files: list[WrittenFile]
    reports: Collection[FileReport]


class Engine(Protocol):
    """Runs ``ingest.process`` over files and writes its rows into data files."""

    def run(self, job: EngineJob, progress: Progress) -> EngineResult:
        """Process the files of a job and report the progress."""
        ...


def engine_names() -> list[str]:
    """Return the names of the engines.

    Examples:
        >>> engine_names()
        ['local', 'ray']
    """
    folder = Path(__file__).parents[1] / "engines"
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]))


def choose_engine(name: str, files: Collection[InputFile], address: str | None) -> str:
    """Return the name of the engine to run; ``auto`` stands for the one that finishes first."""
    if name != AUTO:
        return name
    return RAY if address or sum(f.content_size for f in files) >= AUTO_BYTES else LOCAL


def check_engine(name: str, address: str | None) -> None:
    """Raise an error for an engine that does not exist or takes no address.

    Raises:
        UserError: No engine has that name, or the engine takes no address.
    """
    if name not in (AUTO, *engine_names()):
        raise UserError(
            f"There is no engine named {name}.",
            did_you_mean(name, engine_names()) or f"Choose {AUTO}, {LOCAL} or {RAY}.",
        )
    if address and name == LOCAL:
        raise UserError("The local engine takes no Ray address.", "Leave one of the two out.")


def load_engine(name: str) -> Engine:
    """Import and return the engine of a name."""
    return cast(Engine, import_module(f"lakehouse.engines.{name}"))


@contextmanager
def defer_interrupt() -> Iterator[None]:
    """Defer Ctrl-C until the block ends, so that it never stops a commit between two tables."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        pressed.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt

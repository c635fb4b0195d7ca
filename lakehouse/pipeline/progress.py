"""The progress bar of an ingest on standard error: files, records, MB/s and rejects."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from lakehouse.pipeline.reports import Tally

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """Receives how far an ingest is."""

    @property
    def enabled(self) -> bool:
        """Whether a person sees the progress; engines do not report it otherwise."""
        ...

    def file_hashed(self, n_bytes: int) -> None:
        """Report that a file was read for its digest."""

    def begin(self, n_files: int, n_bytes: int) -> None:
        """Report how much there is to parse."""

    def advance(self, tally: Tally) -> None:
        """Report the work since the last call."""


class NoProgress:
    """Ignores all progress, for an ingest without a bar."""

    enabled = False

    def file_hashed(self, n_bytes: int) -> None:
        """Do nothing."""

    def begin(self, n_files: int, n_bytes: int) -> None:
        """Do nothing."""

    def advance(self, tally: Tally) -> None:
        """Do nothing."""


class _Bar:
    enabled = True

    def __init__(self, rich: RichProgress) -> None:
        self._rich = rich
        self._done = Tally()
        self._n_files = 0
        self._start = time.monotonic()
        self._task = rich.add_task("looking at files", total=None, figures="")

    def file_hashed(self, n_bytes: int) -> None:
        self._done += Tally(files=1, bytes=n_bytes)
        self._rich.update(self._task, figures=f"{self._done.files:,} files {self._speed()}")

    def begin(self, n_files: int, n_bytes: int) -> None:
        self._done, self._n_files, self._start = Tally(), n_files, time.monotonic()
        self._rich.update(self._task, description="ingesting", total=max(n_bytes, 1), completed=0)
        self.advance(Tally())

    def advance(self, tally: Tally) -> None:
        self._done += tally
        done = self._done
        figures = (
            f"{done.files:,}/{self._n_files:,} files  {done.records:,} records  "
            f"{self._speed()}  {done.rejects:,} rejects"
        )
        self._rich.update(self._task, completed=done.bytes, figures=figures)

    def _speed(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-3)
        return f"{self._done.bytes / seconds / 1e6:,.1f} MB/s"


@contextmanager
def progress_bar(show: bool | None = None) -> Iterator[Progress]:
    """Show a progress bar while the block runs.

    Args:
        show: None shows it when standard error is a terminal.

    Examples:
        >>> with progress_bar(show=False) as progress:
        ...     progress.enabled
        False
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield NoProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as rich:
        yield _Bar(rich)

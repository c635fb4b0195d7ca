"""A small synthetic hospital, made once."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse import synth
from lakehouse.synth.writers.hl7v2.feeds import FEEDS
from tests.helpers.once import once

PATIENTS = 24
"""Every story of catalog/synth/stories.toml once."""


@pytest.fixture(scope="session")
def lives() -> list[synth.Patient]:
    return list(synth.patients(2 * PATIENTS, years=3))


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    return once(tmp_path_factory, "hospital", lambda folder: synth.write(folder, PATIENTS))


@pytest.fixture(scope="session")
def split() -> Callable[[Path], list[str]]:
    """Cut a file into its messages."""

    def messages(path: Path) -> list[str]:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
        codec = FEEDS[path.parents[1].name].codec
        text = content.decode(codec, "surrogateescape")
        segments = [s for s in text.split("\r") if s[:3] not in ("FHS", "BHS", "BTS", "FTS", "")]
        found: list[str] = []
        for segment in segments:
            if segment.startswith("MSH"):
                found.append(segment)
            else:
                found[-1] += "\r" + segment
        return found

    return messages


@pytest.fixture(scope="session")
def messages(
    hospital: tuple[Path, dict[str, int]], split: Callable[[Path], list[str]]
) -> dict[str, list[str]]:
    """All messages by feed, in the order of the files."""
    found: dict[str, list[str]] = {}
    for path in sorted((hospital[0] / "hl7v2").rglob("*.hl7*")):
        found.setdefault(path.parents[1].name, []).extend(split(path))
    return found

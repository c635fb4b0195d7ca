"""Writes HL7 v2 messages of twelve interfaces, in files of up to 500 messages."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from lakehouse.synth.clock import when
from lakehouse.synth.life import Patient
from lakehouse.synth.writers import Options
from lakehouse.synth.writers.hl7v2 import (
    bedside,
    faults,
    imaging,
    laboratory,
    office,
    pharmacy,
    registration,
)
from lakehouse.synth.writers.hl7v2.feeds import FEEDS, Feed
from lakehouse.synth.writers.hl7v2.scribe import Message, Scribe

TOPICS = (registration, laboratory, bedside, pharmacy, imaging, office)
"""The modules that write messages; their order numbers the control ids."""

GZIP_EVERY = 7
"""One file in so many is compressed."""


def messages(life: Patient, options: Options | None = None) -> list[Message]:
    r"""Return the messages of one patient in order of arrival.

    Args:
        life: The patient.
        options: Faults to put in; None for none.

    Examples:
        >>> from lakehouse.synth.simulate import patient
        >>> messages(patient(1, years=1))[0].text[:9]
        'MSH|^~\\&|'
    """
    scribe = Scribe(life)
    for topic in TOPICS:
        topic.write(scribe)
    sent = [m for m in scribe.messages if m.arrives < life.ends]
    arrived = faults.apply(life, sent, options) if options else sent
    return sorted(arrived, key=lambda m: m.arrives)


class HL7v2Writer:
    """Writes one folder for each feed and year."""

    name = "hl7v2"
    doc = "HL7 v2 messages of twelve feeds, versions 2.3 to 2.8, one folder a feed and year."

    def write(
        self, folder: Path, lives: Sequence[Patient], part: int, options: Options
    ) -> Mapping[str, int]:
        """Write the messages of some patients; see `lakehouse.synth.writers.Writer`."""
        counts = Counter(messages=0, malformed=0, duplicate=0, late=0, files=0)
        piles: dict[tuple[str, int], list[Message]] = defaultdict(list)
        for life in lives:
            for message in messages(life, options):
                piles[message.feed, when(message.arrives).year].append(message)
                counts["messages"] += 1
                if message.fault:
                    counts[message.fault] += 1
        for (name, year), pile in sorted(piles.items()):
            pile.sort(key=lambda m: m.arrives)
            place = folder / name / str(year)
            place.mkdir(parents=True, exist_ok=True)
            for number, start in enumerate(range(0, len(pile), options.per_file)):
                chunk = pile[start : start + options.per_file]
                stem = place / f"{name}-{year}-{part:04d}-{number:04d}"
                _write(stem, _bytes(FEEDS[name], chunk), compress=number % GZIP_EVERY == 3)
                counts["files"] += 1
        return counts


def _bytes(feed: Feed, chunk: list[Message]) -> bytes:
    parts = [_encode(feed, m.text) for m in chunk]
    if feed.batched:
        head = f"|^~\\&|{feed.application}|{feed.facility}|EDW|{feed.facility}\r"
        parts.insert(0, f"FHS{head}BHS{head}".encode())
        parts.append(f"BTS|{len(chunk)}\rFTS|1\r".encode())
    return b"".join(parts)


def _encode(feed: Feed, text: str) -> bytes:
    before, lone, after = text.partition("\udcff")
    return feed.encode(before) + b"\xff\xfe" + feed.encode(after) if lone else feed.encode(text)


def _write(stem: Path, content: bytes, *, compress: bool) -> None:
    if compress:
        # without a time stamp, so that the same seed gives the same bytes
        stem.with_suffix(".hl7.gz").write_bytes(gzip.compress(content, 5, mtime=0))
    else:
        stem.with_suffix(".hl7").write_bytes(content)


WRITER = HL7v2Writer()

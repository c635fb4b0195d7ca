"""Every mapped place of every sample message, against python-hl7.

Two readers written apart must agree on every text at every path that a mapping names, in every
segment. Where they do not, the reason is one of ``EXCUSES``, each a decision of ours or a limit
of python-hl7; a difference without an excuse fails.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path as FilePath

import hl7
import pyarrow.compute as pc
import pytest

from lakehouse.batch import Source
from lakehouse.formats.hl7v2 import FORMAT
from lakehouse.formats.hl7v2.charset import to_utf8
from lakehouse.formats.hl7v2.columns import strings
from lakehouse.formats.hl7v2.delimiters import delimiters_of
from lakehouse.formats.hl7v2.fields import Fields
from lakehouse.formats.hl7v2.framing import chunks
from lakehouse.formats.hl7v2.mapping import Path, load_mappings
from lakehouse.formats.hl7v2.tokens import Tokens
from lakehouse.quality import validate

EXCUSES = {
    "escape": "We decode escape sequences; python-hl7 leaves them in the parsed tree.",
    "line": "A line without a segment id is part of the segment before it; python-hl7 makes a "
    "segment of it.",
    "separator": "python-hl7 reads MSH-2 by position only: `^~&` without an escape character, a "
    "doubled backslash, repeated characters.",
}


def mapped_paths() -> dict[str, list[Path]]:
    """Every path of every mapping by segment; whole fields as their first six components."""
    paths: dict[str, set[Path]] = {}
    for mapping in load_mappings():
        for feed in mapping.feeds:
            for path in feed.paths:
                tag = path.segment.removeprefix("previous ")
                if path.component:
                    places = [Path(tag, path.field, path.component, path.subcomponent)]
                else:
                    places = [Path(tag, path.field, c) for c in range(1, 7)]
                paths.setdefault(tag, set()).update(places)
    return {tag: sorted(p, key=str) for tag, p in paths.items()}


PATHS = mapped_paths()


def by_python_hl7(segment: hl7.Segment, path: Path) -> str:
    """The text at a path, the way python-hl7's tree holds it; empty where there is none."""
    try:
        field = segment[path.field]
    except IndexError:
        return ""
    node = field
    for place in (0, path.component - 1, (path.subcomponent or 1) - 1):
        if isinstance(node, str):
            return node if place == 0 else ""
        if place >= len(node):
            return ""
        node = node[place]
    while not isinstance(node, str):
        node = node[0] if len(node) else ""
    return node


def messages_of(file: FilePath) -> list[str]:
    """The messages of a file as text, line ends as CR, framing and batch headers left out."""
    found = []
    for chunk in chunks(io.BytesIO(file.read_bytes())):
        edges = [*chunk.starts.tolist(), len(chunk.data)]
        for begin, end in pairwise(edges):
            decoded = to_utf8(chunk.data[begin:end])
            if decoded is not None:
                text = re.sub(r"[\r\n\x0b\x1c]+", "\r", decoded[0].decode()).strip("\r")
                found.append(
                    "\r".join(
                        line
                        for line in text.split("\r")
                        if line[:3] not in ("FHS", "BHS", "BTS", "FTS")
                    )
                )
    return found


def compare(text: str, seen: Counter[str]) -> list[str]:
    """Compare one message; return the places that differ without an excuse."""
    delimiters = delimiters_of(text.encode()[:64])
    if delimiters is None:
        seen["rejected by us: no usable delimiters"] += 1
        return []
    try:
        tree = hl7.parse(text + "\r")
    except Exception:  # whatever python-hl7 raises, it could not read the message
        seen["not parsed by python-hl7"] += 1
        return []
    lines = text.split("\r")
    if any(
        not re.match(rf"[A-Z][A-Z0-9]{{2}}(?:{re.escape(chr(delimiters.field))}|$)", line)
        for line in lines
    ):
        seen["excused: line"] += 1
        return []
    if re.fullmatch(r"\^~\\&#?", delimiters.declared.decode()) is None:
        seen["excused: separator"] += 1
        return []
    fields = Fields(Tokens(text.encode(), delimiters), "UTC", "")
    wrong = []
    for tag, paths in PATHS.items():
        segments = [s for s in tree if str(s[0]) == tag]
        assert len(segments) == len(fields.segments(tag)), tag
        for path in paths if segments else ():
            values, cleared = strings(fields.tokens, fields.ranges(path))
            for segment, ours, null in zip(segments, values.to_pylist(), cleared, strict=True):
                theirs = by_python_hl7(segment, path).strip(" ")
                if chr(delimiters.escape) in theirs:
                    seen["excused: escape"] += 1
                elif (ours or ("" if not null else '""')) != theirs:
                    wrong.append(str(path))
                seen["places"] += 1
    return wrong


def test_every_mapped_place_equals_python_hl7(shared_data: FilePath) -> None:
    seen: Counter[str] = Counter()
    wrong: dict[str, list[str]] = {}
    for file in sorted(p for p in (shared_data / "hl7v2").rglob("*") if p.is_file()):
        if not FORMAT.sniff(file.read_bytes()[:4096]):
            continue
        for text in messages_of(file):
            seen["messages"] += 1
            if places := compare(text, seen):
                wrong.setdefault(file.name, []).extend(places)
    print(dict(seen))
    assert not wrong
    assert seen["messages"] > 1100
    assert seen["places"] > 150_000
    excused = sum(n for k, n in seen.items() if k.startswith("excused") and k != "excused: escape")
    assert excused + seen["not parsed by python-hl7"] < 0.1 * seen["messages"]


def test_every_sample_file_ends_as_rows_rejects_or_not_hl7(shared_data: FilePath) -> None:
    """Messages found = messages with a row in records + messages rejected."""
    total: Counter[str] = Counter()
    for file in sorted(p for p in (shared_data / "hl7v2").rglob("*") if p.is_file()):
        data = file.read_bytes()
        if not FORMAT.sniff(data[:4096]):
            total["not hl7"] += 1
            continue
        found = stored = rejected = 0
        for raw in FORMAT.parse(io.BytesIO(data), Source("0" * 32)):
            batch = validate(raw, "hl7v2")
            found += batch.n_records
            rejected += sum(r.level == "record" for r in batch.rejects)
            if "records" in batch.tables:
                stored += len(batch.tables["records"])
            if "rejects" in batch.tables:
                table = batch.tables["rejects"]
                whole = table.filter(pc.equal(table.column("level"), "record"))
                rejected += len(set(whole.column("record_ordinal").to_pylist()))
        assert found == stored + rejected, file.name
        total.update(files=1, found=found, stored=stored, rejected=rejected)
    assert total["found"] > 1100 and total["files"] > 700 and total["not hl7"] < 40


@pytest.mark.parametrize("kind", sorted(EXCUSES))
def test_every_excuse_is_explained(kind: str) -> None:
    assert EXCUSES[kind].endswith(".")

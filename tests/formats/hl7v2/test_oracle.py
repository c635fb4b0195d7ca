"""Every mapped place of every sample message, against python-hl7.

Two readers written apart must agree on every text at every path that a mapping names, in every
segment, escape sequences decoded. Where they do not, the reason is one of ``REASONS``, and
``DIFFERENCES`` lists where; a difference that stands in neither fails.
"""

from __future__ import annotations

import io
import re
import resource
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path as FilePath

import hl7
import pyarrow.compute as pc
import pytest

from lakehouse.batch import Source
from lakehouse.formats.hl7v2 import FORMAT
from lakehouse.formats.hl7v2.datatypes.fields import Fields
from lakehouse.formats.hl7v2.datatypes.paths import Path
from lakehouse.formats.hl7v2.datatypes.text import strings
from lakehouse.formats.hl7v2.encoding.charset import to_utf8
from lakehouse.formats.hl7v2.encoding.delimiters import delimiters_of
from lakehouse.formats.hl7v2.encoding.framing import chunks
from lakehouse.formats.hl7v2.encoding.tokens import Delimiters, Tokens
from lakehouse.formats.hl7v2.mapping import load_mappings
from lakehouse.quality import validate

REASONS = {
    "delimiters": "MSH-1 and MSH-2 name no usable delimiters: we reject the message, python-hl7 "
    "takes letters, digits and blanks for delimiters.",
    "unparsed": "python-hl7 raises an error on the message.",
    "separator": "python-hl7 reads MSH-2 by position only, so it is given the delimiters that we "
    "read from `^~&` without an escape character, a doubled backslash, or less.",
    "line": "A line without a segment id is no segment to us; python-hl7 makes one of it, so it is "
    "given the message without such lines.",
    "continued": "A text of several lines: we read on behind it, python-hl7 is not given them.",
}

# reason -> project of the samples -> messages (of the last: places)
DIFFERENCES: dict[str, dict[str, int]] = {
    "delimiters": {"nHapiNET+nHapi": 26},
    "unparsed": {"nHapiNET+nHapi": 3},
    "separator": {
        "LinuxForHealth+hl7v2-fhir-converter": 2,
        "nHapiNET+nHapi": 4,
        "ruby-hl7+ruby-hl7": 8,
    },
    "line": {
        "Efferent-Health+HL7-V2": 1,
        "MatthewVita+node-hl7-complete": 2,
        "nHapiNET+nHapi": 5,
        "ruby-hl7+ruby-hl7": 2,
    },
    "continued": {"MatthewVita+node-hl7-complete": 9, "nHapiNET+nHapi": 1},
}


def mapped_paths() -> dict[str, list[Path]]:
    """Every path of every mapping by segment; whole fields as their first six components."""
    paths: dict[str, set[Path]] = {}
    for mapping in load_mappings():
        for column in mapping.columns:
            for path in column.paths:
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


def unescaped(text: str, delimiters: Delimiters) -> str:
    """Decode the escape sequences of HL7 v2.9 ch. 2.7 by one substitution, none of our code."""
    if not delimiters.escape:
        return text
    own = dict(zip("FSTREPL", map(chr, _own(delimiters)), strict=True))
    mark = re.escape(chr(delimiters.escape))

    def meant(found: re.Match[str]) -> str:
        sequence = found[1]
        if sequence[0] == "X":
            raw = bytes.fromhex(sequence[1:])
            return raw.decode("utf-8") if is_utf8(raw) else raw.decode("latin-1")
        if sequence[0] == ".":
            return {".br": "\n", ".sp": "\n", ".ce": "\n", ".sk": " "}.get(sequence[:3], "")
        return own.get(sequence, "")

    known = r"[FSTREPLHN]|X(?:[0-9A-Fa-f]{2})+|\.[a-z]{2}[+-]?\d*|C[0-9A-F]{4}|M[0-9A-F]{4,6}|Z\d+"
    return re.sub(f"{mark}({known}){mark}", meant, text)


def _own(d: Delimiters) -> tuple[int, ...]:
    return d.field, d.component, d.subcomponent, d.repetition, d.escape, ord("#"), ord("#")


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def compare(text: str, seen: Counter[str]) -> list[str]:
    """Compare one message; count the differences by reason, return the places without one."""
    delimiters = delimiters_of(text.encode()[:64])
    if delimiters is None:
        seen["delimiters"] += 1
        return []
    lines = text.split("\r")
    separator = re.escape(chr(delimiters.field))
    is_segment = [bool(re.match(rf"[A-Z][A-Z0-9]{{2}}(?:{separator}|$)", line)) for line in lines]
    seen["line"] += not all(is_segment)
    told = [line for line, good in zip(lines, is_segment, strict=True) if good]
    # a byte that does not occur stands for a delimiter that there is not
    by_position = (delimiters.component, delimiters.repetition, delimiters.escape)
    declared = "".join(chr(c or 1) for c in (*by_position, delimiters.subcomponent))
    if delimiters.declared.decode() not in (declared, declared + "#"):
        seen["separator"] += 1
        told[0] = told[0].replace(delimiters.declared.decode(), declared, 1)
    try:
        tree = hl7.parse("\r".join(told) + "\r")
    except Exception:  # whatever python-hl7 raises, it could not read the message
        seen["unparsed"] += 1
        return []
    goes_on = [not after for after in is_segment[1:]] + [False]
    goes_on = [on for on, good in zip(goes_on, is_segment, strict=True) if good]
    fields = Fields(Tokens(text.encode(), delimiters), "UTC", "")
    wrong = []
    for tag, paths in PATHS.items():
        segments = [(s, on) for s, on in zip(tree, goes_on, strict=True) if str(s[0]) == tag]
        assert len(segments) == len(fields.segments(tag)), tag
        for path in paths if segments else ():
            values, cleared = strings(fields.tokens, fields.ranges(path))
            for (segment, on), ours, null in zip(
                segments, values.to_pylist(), cleared, strict=True
            ):
                raw = by_python_hl7(segment, path).strip(" ")
                theirs = unescaped(raw, delimiters)
                seen["places"] += 1
                seen["escaped"] += theirs != raw
                if (ours or ("" if not null else '""')) != theirs:
                    seen["continued"] += on
                    wrong += [str(path)] * (not on)
    return wrong


@pytest.mark.slow
def test_every_mapped_place_equals_python_hl7(shared_data: FilePath) -> None:
    seen: Counter[str] = Counter()
    differences: dict[str, Counter[str]] = {reason: Counter() for reason in REASONS}
    wrong: dict[str, list[str]] = {}
    samples = shared_data / "hl7v2"
    for file in sorted(p for p in samples.rglob("*") if p.is_file()):
        if not FORMAT.sniff(file.read_bytes()[:4096]):
            continue
        here: Counter[str] = Counter()
        for text in messages_of(file):
            seen["messages"] += 1
            if places := compare(text, here):
                wrong.setdefault(file.name, []).extend(places)
        seen += here
        for reason, counts in differences.items():
            if here[reason]:
                counts[file.relative_to(samples).parts[0]] += here[reason]
    assert not wrong
    assert {reason: dict(counts) for reason, counts in differences.items()} == DIFFERENCES
    assert seen["messages"] > 1100
    assert seen["places"] > 150_000 and seen["escaped"] > 10


def peak_of_memory() -> int:
    """The most bytes that this process has held."""
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@pytest.mark.slow
def test_every_sample_file_ends_as_rows_rejects_or_not_hl7(shared_data: FilePath) -> None:
    """Messages found = messages with a row in records + messages rejected."""
    total: Counter[str] = Counter()
    before = peak_of_memory()
    for file in sorted(p for p in (shared_data / "hl7v2").rglob("*") if p.is_file()):
        data = file.read_bytes()
        begun = time.process_time()
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
        # no hang: a second and two for each MiB, far above what any file takes
        assert time.process_time() - begun < 1 + 2 * len(data) / 2**20, file.name
        total.update(files=1, found=found, stored=stored, rejected=rejected)
    assert peak_of_memory() - before < 300 * 2**20
    assert total["found"] > 1100 and total["files"] > 700 and total["not hl7"] < 40


@pytest.mark.parametrize("kind", sorted(REASONS))
def test_every_reason_is_explained(kind: str) -> None:
    assert REASONS[kind].endswith(".")

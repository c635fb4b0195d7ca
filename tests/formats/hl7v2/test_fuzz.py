"""Mutated messages never crash the tokeniser, never leave the buffer, never lose a neighbour."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.formats.hl7v2.encoding.framing import looks_like_hl7
from lakehouse.formats.hl7v2.encoding.tokens import PADDING, Delimiters, Tokens
from tests.formats.hl7v2.reading import PID, batches, message

BASE = message(
    PID,
    "PV1|1|I|WARD^1^2^HOSP||||7^DOC^A||||||||||||V1^^^HOSP|||||||||||||||||||||||||2024",
    "OBR|1|P1|F1|A^a^LN|||20240101",
    "OBX|1|NM|B^b^LN||5.5|mg/dL|1-9|H|||F|||20240101",
    "OBX|2|SN|C^c^LN||>^100",
    "OBX|3|CWE|D^d^LN||X^y^SCT",
    "DG1|1||E11.9^d^I10",
).encode()
NOISE = b'|^~\\&\r\n\x0b\x1c\x00\xff"MSH0Z '


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message with bytes changed, cut out, put in or doubled."""
    data = bytearray(BASE)
    for _ in range(draw(st.integers(1, 12))):
        place = draw(st.integers(0, len(data)))
        action = draw(st.integers(0, 3))
        if action == 0:
            data[place : place + 1] = bytes([draw(st.sampled_from(list(NOISE)))])
        elif action == 1:
            del data[place : place + draw(st.integers(1, 40))]
        elif action == 2:
            data[place:place] = draw(st.binary(max_size=12))
        else:
            data[place:place] = data[place : place + draw(st.integers(1, 60))]
    return bytes(data)


TABLES = ("records", "patients", "encounters", "orders", "observations", "conditions")


def values(data: bytes) -> tuple[dict[str, dict[int, list[dict[str, object]]]], set[int]]:
    """Rows by table and record, without what tells their place; and the rejected records."""
    found: dict[str, dict[int, list[dict[str, object]]]] = {table: {} for table in TABLES}
    lost: set[int] = set()
    for batch in batches(data):
        lost |= {r.record_ordinal for r in batch.rejects if r.level == "record"}
        for row in batch.tables["rejects"].to_pylist() if "rejects" in batch.tables else ():
            lost |= {row["record_ordinal"]} if row["level"] == "record" else set()
        for table in TABLES:
            for row in batch.tables[table].to_pylist() if table in batch.tables else ():
                record = int(row["record_id"][-8:])
                kept = {k: v for k, v in row.items() if v is not None and k not in PLACE}
                found[table].setdefault(record, []).append(kept)
    return found, lost


@cache
def alone() -> dict[str, dict[int, list[dict[str, object]]]]:
    return values(BASE)[0]


# the last three tell of the whole message, also of lines that came to it from one without header
PLACE = ("record_id", "ordinal", "n_segments", "n_unmapped", "character_set")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(mutated())
def test_neighbours_survive_whatever_stands_between_them(bad: bytes) -> None:
    own = alone()
    found, lost = values(BASE + b"\r" + bad + b"\r" + BASE)
    last = max(found["records"])
    for table in TABLES:
        assert found[table][last] == own[table][0]
        # segments whose own header was destroyed belong, by HL7's grammar, to the message before,
        # behind its own; they may make a rule reject it, but then it is a reject and not lost
        assert 0 in lost or found[table][0][: len(own[table][0])] == own[table][0]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(mutated())
def test_every_message_is_a_row_or_a_reject(bad: bytes) -> None:
    if not looks_like_hl7(bad):
        return
    for batch in batches(bad):
        lost = {r.record_ordinal for r in batch.rejects if r.level == "record"}
        kept = set()
        if "records" in batch.tables:
            kept = set(batch.tables["records"].column("ordinal").to_pylist())
        if "rejects" in batch.tables:
            table = batch.tables["rejects"].to_pylist()
            lost |= {r["record_ordinal"] for r in table if r["level"] == "record"}
        assert len(kept | lost) == batch.n_records and not kept & lost
        for table in batch.tables.values():
            table.validate(full=True)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 8), st.integers(1, 4))
def test_no_position_leaves_the_buffer(noise: bytes, field: int, part: int) -> None:
    data = b"MSH|^~\\&|A\r" + noise
    tokens = Tokens(data, Delimiters())
    limit = len(data) + 2 + PADDING
    for code in tokens.of_tag:
        ranges = tokens.field(code, field)
        for inner in (
            ranges,
            tokens.component(tokens.repetition(ranges, part), part),
            tokens.subcomponent(ranges, part),
        ):
            start, length = tokens.span(inner)
            assert (length >= 0).all() and (start >= 0).all()
            assert (start.astype(np.int64) + length <= limit - PADDING).all()

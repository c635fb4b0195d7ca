"""A token of its own in every field and component of HL7 v2 messages, and where tokens come out.

The positions are those of 45 CFR 164.514(b)(2)(i) as HL7 v2 has them, in the union of all
versions; segments that no mapping names, repetitions and sub-components are filled as well.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from itertools import count

import pytest

from lakehouse.batch import CleanBatch, Source
from lakehouse.definitions.tables import load_tables
from lakehouse.formats import format_named
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.quality import validate

MESSAGES = {
    "ADT^A01": "EVN PID PD1 NK1 PV1 PV2 DG1 PR1 DRG AL1 IAM GT1 IN1 IN2 IN3 ACC UB1 ROL ZPD PRB",
    "ADT^A40": "EVN PID MRG",
    "ORU^R01": "PID PV1 ORC OBR OBX NTE SPM SAC PRT CTD",
    "RDE^O11": "PID PV1 ORC RXO RXE RXD RXG RXR BLG",
    "VXU^V04": "PID ORC RXA RXR OBX",
    "SIU^S12": "SCH PID PV1 AIS AIP AIL AIG ARQ",
    "DFT^P03": "EVN PID PV1 FT1 DG1",
    "MDM^T02": "EVN PID PV1 TXA OBX",
    "QRY^A19": "MSA ERR QRD QRF QPD DSP PID",
    "PMU^B01": "STF PRA PDA CON RF1 AUT PMT PES PEO PRD REL PID",
}
VALUE_TYPES = {
    "ORU^R01": ("CWE", "CE", "ST", "NM", "TX", "XPN", "XAD", "CX", "SN", "DT", "TS", "ED", "RP"),
    "VXU^V04": ("FT", "XTN"),
    "MDM^T02": ("EI", "CWE"),
}

CODES = {
    "AL1": {2, 3, 4}, "AIS": {3}, "DG1": {3, 6, 21, 26}, "FT1": {6, 7, 19, 25},
    "IAM": {2, 3, 4, 6, 17}, "IN1": {2, 15, 17}, "OBR": {4, 5, 24, 25, 31},
    "OBX": {3, 4, 5, 6, 8, 17}, "ORC": {1, 5, 7}, "PID": {8, 10, 15, 16, 22},
    "PR1": {3, 6, 15, 16, 20}, "PRB": {3, 14}, "PV1": {2, 4, 10, 13, 14, 18, 20, 36}, "PV2": {3},
    "RXA": {5, 7, 9, 17, 18, 20, 21}, "RXD": {2, 5, 6, 17, 21}, "RXE": {1, 2, 5, 6, 11, 26, 27},
    "RXO": {1, 4, 5, 12, 19, 20}, "RXR": {1, 2}, "SCH": {7, 8, 25}, "SPM": {4},
    "TXA": {2, 17, 18, 19},
}  # fmt: skip
"""The only fields whose codes are stored: none of them is an identifier's position."""

TOKEN = re.compile(r"qx\d{7}zk")


class Corpus:
    """Messages full of tokens, and where each token stands: (segment, field, component)."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[str, int, int]] = {}
        self._numbers = count()

    def token(self, segment: str, field: int, component: int) -> str:
        token = f"qx{next(self._numbers):07d}zk"
        self.places[token] = (segment, field, component)
        return token.upper()

    def field(self, segment: str, field: int) -> str:
        def component(n: int) -> str:
            return "&".join(self.token(segment, field, n) for _ in range(2 if n in (2, 4) else 1))

        return "~".join("^".join(component(n) for n in range(1, 13)) for _ in range(2))

    def segment(self, name: str, fixed: dict[int, str]) -> str:
        return "|".join([name, *(fixed.get(n) or self.field(name, n) for n in range(1, 61))])

    def message(self, kind: str, version: str, value_type: str) -> bytes:
        msh = [self.token("MSH", n, 1) for n in range(3, 22)]
        msh[4], msh[6], msh[8], msh[9] = "20240101120000", kind, "P", version
        msh[12:15] = ["", "", ""]  # acknowledgement types and country
        segments = ["|".join(["MSH", "^~\\&", *msh[:15]])]
        for name in MESSAGES[kind].split():
            fixed = {"PID": {7: "19400101"}, "OBX": {2: value_type}}.get(name, {})
            segments.append(self.segment(name, fixed))
        return ("\r".join(segments) + "\r").encode()

    def messages(self) -> Iterator[bytes]:
        for kind in MESSAGES:
            for value_type in VALUE_TYPES.get(kind, ("",)):
                yield self.message(kind, "2.8", value_type)
            yield self.message(kind, "2.3", "CE")


def strings(batch: CleanBatch) -> Iterator[tuple[str, str, str]]:
    """Yield table, column and text of every text in a clean batch."""
    for name, table in batch.tables.items():
        for column in table.column_names:
            if str(table.schema.field(column).type) == "string":
                for text in table[column].drop_null().to_pylist():
                    yield name, column, text.lower()


@pytest.mark.parametrize("profile", ["safe_harbor", "limited"])
def test_tokens_come_out_as_codes_only(profile: str) -> None:
    corpus = Corpus()
    deidentify = Deidentifier(load_policy(profile), Secret(hashlib.sha256(b"one").digest()))
    may_show = {"code"} | ({"facility", "address.city"} if profile == "limited" else set())
    n_rows, shown, leaks = 0, set(), set()
    for message in corpus.messages():
        for batch in format_named("hl7v2").parse(io.BytesIO(message), Source("a" * 32)):
            clean = deidentify(validate(batch, "hl7v2"))
            n_rows += sum(len(t) for t in clean.tables.values())
            assert not TOKEN.search(str(clean.counts).lower())
            for table, column, text in strings(clean):
                phi = load_tables()[table].columns[column].phi
                for token in TOKEN.findall(text):
                    segment, field, component = place = corpus.places[token]
                    shown.add(segment)
                    code = field in CODES.get(segment, ()) and component in (1, 2, 4)
                    if phi not in may_show or (phi == "code" and not code):
                        leaks.add((table, column, place))
    assert not leaks
    assert n_rows > 300
    assert shown >= set(CODES) - {"PRB"}  # the search sees what is stored

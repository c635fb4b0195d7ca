"""Messages in which every place that can identify somebody holds a token of its own.

The places are the fields that the law's eighteen identifiers can stand in, segment by segment
(union over HL7 2.2 to 2.8.2, whatever MSH-12 says), with components, sub-components, repetitions,
escapes, withdrawn fields, unknown segments and fields, and other delimiters besides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

# segment: fields whose every part must not be seen again (names, places, contacts, numbers, text)
WHOLE = {
    "EVN": "5 7",
    "PID": "2 3 4 5 6 9 11 12 13 14 18 19 20 21 23 34 39 40 45 60",
    "PD1": "3 4 10 14 19 20 21",
    "NK1": "2 4 5 6 10 11 12 13 26 30 31 32 33 37 38 40 41",
    "GT1": "2 3 4 5 6 7 12 16 17 18 19 21 29 42 45 46 49 50 51 56",
    "IN1": "3 4 5 6 7 8 9 10 11 14 16 19 28 30 36 44 49 52 54",
    "IN2": "1 2 3 6 7 8 9 10 12 13 22 25 26 40 46 47 49 50 52 53 58 61 63 64 69 70",
    "IN3": "2 3 8 12 14 15 16 18 19 21 25",
    "PV1": "3 5 6 7 8 9 11 17 19 37 42 43 50 52 53 54",
    "PV2": "1 5 6 12 13 23",
    "MRG": "1 2 3 4 5 6 7",
    "ACC": "3 7 8 9 11 13",
    "ORC": "2 3 4 8 10 11 12 13 14 19 20 21 22 23 24 33",
    "OBR": "2 3 10 13 16 17 18 19 20 21 26 28 29 32 33 34 35 39 43 53",
    "OBX": "16 18 21 23 24 25",
    "NTE": "3 5",
    "DG1": "4 16",
    "PR1": "4 8 11 12 23",
    "AL1": "5",
    "IAM": "12 14 18",
    "SPM": "2 3 14 30 31",
    "SAC": "3 4",
    "PRT": "5 9 10 14 15 16 19 20 21",
    "TXA": "5 9 10 11 12 13 14 15 16 22 23",
    "FT1": "2 8 9 13 16 20 21 23 24 30 38 39",
    "BLG": "3",
    "RXO": "8 14 15 33 34 35 36",
    "RXE": "8 13 14 41 42 43 45",
    "RXD": "9 10 13 31 34",
    "RXA": "9 10 11 27 28",
    "RXG": "11 28 29 30",
    "SCH": "1 2 12 13 14 15 16 17 18 19 20 21 22",
    "ARQ": "1 2 15 16 17 18 19 20 21",
    "AIP": "3",
    "AIL": "3",
    "ROL": "4 11 12 13",
    "CTD": "2 3 4 5 7",
    "PRD": "2 3 4 5 7 11 12 13",
    "STF": "2 3 10 11 15 22",
    "PES": "2 3 4",
    "PEO": "7 13 14 15 16 17 19 20 21",
    "PDA": "2 5 8",
    "CON": "5 6 7 8 9 14 24",
    "RF1": "6 11 14 20 23 24",
    "AUT": "17 24 28",
    "DSP": "3 5",
    "QRD": "4 8",
    "ERR": "7 8",
    "MSA": "3",
    "ZPI": "1 2 3 4",
    "QQX": "1 2",
    "FHS": "3 4 5 6 8 9 10 11 12",
    "BHS": "3 4 5 6 8 9 10 11 12",
    "UB1": "13 17 20 21 22 23",
    "UB2": "2 10 11 12 13 14",
    "AIG": "3 5 6 7",
    "AIS": "10 12",
    "REL": "3 4 5 6 7 9 10 11 12 13 14",
    "PRA": "1 2 4 6 7 9",
    "PMT": "1 5 7 8 9 10 11",
    "QRF": "1 4 5 9",
    "QPD": "2 3 4 5",
    "DRG": "1 12 18",
}

# coded elements: the code stays, what stands in the text parts (.2, .5, .9) must go
TEXTS = {
    "PV2": "3",
    "OBR": "4 31",
    "OBX": "3 6",
    "DG1": "3",
    "PR1": "3",
    "AL1": "3",
    "IAM": "3",
    "IN1": "2",
    "SCH": "6 7",
    "RXE": "2",
    "RXA": "5",
    "TXA": "2",
    "FT1": "7",
}

# times of the patient: none may be seen again
TIMES = {
    "MSH": "7",
    "EVN": "2 3 6",
    "PID": "7 29 33",
    "PD1": "13 17 18 22",
    "NK1": "8 9 16",
    "GT1": "8 13 14 24 31 32",
    "IN1": "12 13 18 24 26 29 51",
    "PV1": "25 30 35 44 45",
    "PV2": "8 9 14 17 26 28 29 33 46 47 48 50",
    "ACC": "1",
    "ORC": "9 15 27 32",
    "OBR": "6 7 8 14 22 36",
    "OBX": "12 14 19",
    "NTE": "6 7 8",
    "DG1": "5 19",
    "PR1": "5",
    "AL1": "6",
    "IAM": "11 13 20",
    "SPM": "17 18 19",
    "TXA": "4 6 7 8 26",
    "FT1": "4 5",
    "RXA": "3 4 16 22",
    "RXD": "3 19",
    "RXE": "18 32",
    "SCH": "11",
    "ARQ": "11",
    "FHS": "7",
    "BHS": "7",
    "IN3": "6 7 9 10 11 13 22",
    "IN2": "17 44 45 55 56",
    "PRT": "11 12 17 18",
    "SAC": "7",
    "RXG": "20",
    "DRG": "2",
    "UB1": "14 15 18 19",
    "AIG": "8",
    "AIS": "4",
    "AIL": "6",
    "AIP": "6",
    "PRA": "8",
    "PMT": "2 6",
    "QRF": "2 3",
    "QRD": "1 6",
    "STF": "12 13",
    "REL": "8",
}

OBX5 = {
    "TX": "{0}",
    "FT": "{0}\\.br\\{1}",
    "ST": "{0}",
    "ED": "^TEXT^^A^{0}",
    "RP": "{0}^{1}",
    "PN": "{0}^{1}",
    "XPN": "{0}^{1}",
    "XAD": "{0}^^{1}",
    "XTN": "{0}",
    "XCN": "{0}^{1}^{2}",
    "CX": "{0}^^^{1}",
    "EI": "{0}^{1}",
    "ZZ": "{0}",
    "": "{0}",
    "CWE": "A^{0}^L^B^{1}^L^^^{2}",
}
"""Values by the type that OBX-2 names."""

BATCH = ("FHS", "BHS")
"""Segments that stand before the messages of a file; like MSH they define the delimiters."""

STRUCTURE = [
    "ADT^A01",
    "ADT^A40",
    "ORU^R01",
    "RDE^O11",
    "RAS^O17",
    "VXU^V04",
    "SIU^S12",
    "DFT^P03",
    "MDM^T02",
    "ZZZ^Z99",
]


@dataclass
class Corpus:
    """Messages and the tokens in them."""

    tokens: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    _days: int = 0

    def token(self) -> str:
        """A new token; letters at both ends keep it from being a number."""
        self.tokens.append(f"Qz{len(self.tokens):05d}Jk")
        return self.tokens[-1]

    def number(self) -> str:
        """A token of digits, as record numbers are."""
        self.tokens.append(f"98{len(self.tokens):07d}31")
        return self.tokens[-1]

    def time(self) -> str:
        """A day of its own, between 1951 and 1999."""
        self._days += 1
        year, rest = divmod(self._days, 12 * 28)
        text = f"{1951 + year}{rest // 28 + 1:02d}{rest % 28 + 1:02d}"
        self.tokens.append(f"{text[:4]}-{text[4:6]}-{text[6:]}")
        return text

    def value(self, segment: str, number: int) -> str:
        """The content of one field."""
        if number in _numbers(TIMES, segment):
            return self.time()
        if number in _numbers(TEXTS, segment):
            return f"C1^{self.token()}^L^C2^{self.token()}^L^^^{self.token()}"
        if number not in _numbers(WHOLE, segment):
            return ""
        first = self.number() if (segment, number) in _RECORD_NUMBERS else self.token()
        parts = "^".join([first, *(self.token() for _ in range(3)), ""])
        return (
            f"{parts}MR^{self.token()}&{self.token()}~{self.token()}^{self.token()}"
            f"~\\X{self.token().encode().hex().upper()}\\^\\T\\{self.token()}"
        )


_RECORD_NUMBERS = {("PID", 3), ("PID", 18), ("PV1", 19), ("MRG", 1)}


def _numbers(table: dict[str, str], segment: str) -> set[int]:
    return {int(n) for n in table.get(segment, "").split()}


def segments(corpus: Corpus) -> Iterator[str]:
    """Every segment of the corpus, each place with its token."""
    order = [
        "EVN",
        "PID",
        "PD1",
        "MRG",
        "NK1",
        "PV1",
        "PV2",
        "GT1",
        "IN1",
        "IN2",
        "IN3",
        "ACC",
        "DG1",
        "PR1",
        "AL1",
        "IAM",
        "SCH",
        "ORC",
        "OBR",
        "RXO",
        "RXE",
        "RXD",
        "RXA",
    ]
    names = {*WHOLE, *TEXTS, *TIMES} - {"MSH", *BATCH}
    for name in [*order, *sorted(names - set(order))]:
        highest = max(_numbers(WHOLE, name) | _numbers(TEXTS, name) | _numbers(TIMES, name))
        fields = [corpus.value(name, n) for n in range(1, highest + 1)]
        if name == "OBX":
            for kind, shape in OBX5.items():
                own = list(fields)
                own[1] = kind
                own[4] = shape.format(*(corpus.token() for _ in range(shape.count("{"))))
                yield "|".join([name, *own, corpus.token(), corpus.token()])
        else:  # two fields more than any version defines
            yield "|".join([name, *fields, *[""] * 40, corpus.token(), corpus.token()])


def batch_heads(corpus: Corpus) -> str:
    """The header segments of a file and of a batch; their third field follows the delimiters."""
    lines = []
    for name in BATCH:
        highest = max(_numbers(WHOLE, name))
        fields = [corpus.value(name, n) for n in range(3, highest + 1)]
        lines.append("|".join([name, "^~\\&", *fields, corpus.token()]))
    return "\r".join(lines) + "\r"


def build() -> Corpus:
    """All messages: each structure, then other delimiters, then broken ones."""
    corpus = Corpus()
    for number, kind in enumerate(STRUCTURE):
        head = (
            f"MSH|^~\\&|{corpus.token()}|{corpus.token()}|{corpus.token()}|{corpus.token()}|"
            f"{corpus.time()}||{kind}|{corpus.token()}|P|2.{number % 9}|||||||||||"
            f"{corpus.token()}|{corpus.token()}"
        )
        corpus.messages.append("\r".join([head, *segments(corpus)]) + "\r")
    corpus.messages[0] = batch_heads(corpus) + corpus.messages[0]
    other = corpus.messages[0]
    swapped = other.translate(str.maketrans("|^~\\&", "$%*!@"))
    corpus.messages.append(swapped)
    corpus.messages.append(corpus.messages[1].replace("PID|", "PID|||||", 1))  # shifted: rejected
    corpus.messages.append(f"MSH|0000|{corpus.token()}|{corpus.token()}\rPID|{corpus.token()}\r")
    corpus.messages.append(f"{corpus.token()} no segment\rMSH|^~\\&|{corpus.token()}")
    return corpus

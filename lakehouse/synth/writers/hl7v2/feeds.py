"""The HL7 interfaces of the hospital: sender, version and character set."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from lakehouse.synth.clock import stamp
from lakehouse.synth.events import Code
from lakehouse.synth.people import HOSPITALS

_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})


def escape(text: str) -> str:
    r"""Return text with the delimiters escaped.

    Examples:
        >>> escape("Whitfield & Sons")
        'Whitfield \\T\\ Sons'
    """
    return text.translate(_ESCAPES)


def coded(code: Code, *alternative: str) -> str:
    """Return a CE or CWE; empty for a code without one."""
    if not code.code:
        return ""
    own = f"{code.code}^{escape(code.text)}^{code.system}"
    return "^".join((own, *alternative))


@dataclass(frozen=True, slots=True)
class Feed:
    """An HL7 interface.

    Attributes:
        name: Its folder.
        mark: First letters of its control ids.
        application: MSH-3.
        hospital: Index of the sending hospital (MSH-4).
        version: MSH-12.
        charset: MSH-18; empty where the sender leaves it out.
        codec: How its files are encoded.
        zone: Offset it adds to MSH-7.
        batched: Whether its files have batch headers (FHS, BHS, BTS, FTS).
    """

    name: str
    mark: str
    application: str
    hospital: int
    version: str
    charset: str = ""
    codec: str = "utf-8"
    zone: str = ""
    batched: bool = False

    @property
    def facility(self) -> str:
        """MSH-4."""
        return HOSPITALS[self.hospital]

    def at_least(self, version: str) -> bool:
        """Return whether the interface has this version or a later one."""
        return self.version >= version

    def header(self, kind: str, sent: int, control: str) -> str:
        """Return the MSH segment of a message; ``kind`` is ``ADT^A01^ADT_A01``."""
        if self.version < "2.3.1":
            kind = kind.rsplit("^", 1)[0]
        charset = f"|||AL|NE|USA|{self.charset}" if self.charset else ""
        return (
            f"MSH|^~\\&|{self.application}|{self.facility}|EDW|{self.facility}|{stamp(sent)}"
            f"{self.zone}||{kind}|{control}|P|{self.version}{charset}\r"
        )

    def encode(self, text: str) -> bytes:
        """Return the bytes of a message in the interface's character set."""
        try:
            return text.encode(self.codec)
        except UnicodeEncodeError:
            # senders of small character sets leave the accents out
            bare = unicodedata.normalize("NFD", text.replace("ł", "l").replace("Ł", "L"))
            bare = bare.replace("đ", "d")
            return bare.encode("ascii", "ignore")


FEEDS = {
    feed.name: feed
    for feed in (
        Feed("adt", "A", "REGISTRATION", 0, "2.5.1", "UNICODE UTF-8"),
        Feed("adt-lakeside", "B", "ADTSYS", 1, "2.3", "", "ascii"),
        Feed("coding", "C", "HIMCODER", 0, "2.8", "UNICODE UTF-8"),
        Feed("lab", "L", "LABCORE", 0, "2.5.1", "UNICODE UTF-8"),
        Feed("lab-lakeside", "M", "LIS", 1, "2.3.1", "8859/1", "latin-1"),
        Feed("vitals", "V", "MONITOR", 0, "2.6", "UNICODE UTF-8"),
        Feed("pharmacy", "P", "RXHUB", 0, "2.5", "ASCII", "ascii"),
        Feed("radiology", "R", "RIS", 0, "2.4", "8859/1", "latin-1", "+0000"),
        Feed("scheduling", "S", "BOOKING", 0, "2.3.1", "", "ascii"),
        Feed("billing", "F", "LEDGER", 0, "2.3", "", "ascii"),
        Feed("immunizations", "I", "IMMREG", 0, "2.5.1", "UNICODE UTF-8", batched=True),
        Feed("documents", "D", "DICTATE", 0, "2.7", "UNICODE UTF-8"),
    )
}

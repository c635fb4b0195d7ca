"""Character sets: every message becomes UTF-8 before it is tokenised.

MSH-18 declares the set (HL7 table 0211), but senders declare one and send another, so content
decides first: what is valid UTF-8 is UTF-8 (other sets' letters rarely form valid sequences).
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import NamedTuple

# HL7 table 0211 and what senders write instead, where Python has no such name. UTF-16 and UTF-32
# are UTF-8 by now.
_CODECS = {
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8 UNICODE": "utf-8",
    "UNICODE UTF-16": "utf-8",
    "UNICODE UTF-32": "utf-8",
    "UTF-16": "utf-8",
    "UTF-32": "utf-8",
    "ISO IR6": "ascii",
    "ISO IR13": "shift_jis",  # JIS X 0201, whose letters Shift JIS keeps
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "ISO IR58": "gb2312",
    "ISO IR149": "euc_kr",
    "ISO IR166": "tis-620",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "GB 18030-2000": "gb18030",
    "ANSI": "cp1252",
}
_PARTS_BY_REGISTER = {100: 1, 101: 2, 109: 3, 110: 4, 144: 5, 127: 6, 126: 7, 138: 8, 148: 9}
_CODECS |= {f"ISO IR{number}": f"iso8859-{part}" for number, part in _PARTS_BY_REGISTER.items()}
_CODECS |= {f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 12), 13, 14, 15, 16)}
# Of Python's codecs those of texts in bytes: neither idna nor rot13, nor what is no set of letters
_LETTERS = re.compile(r"(cp|iso8859-|iso2022_|koi8|mac-|euc_|gb|big5|shift_jis|johab|tis|ascii).*")


class DecodedText(NamedTuple):
    """One message in UTF-8.

    Attributes:
        text: The message.
        charset: The set that it was in, as Python names it.
        named: Whether MSH-18 is empty or names sets that we know.
    """

    text: bytes
    charset: str
    named: bool


@lru_cache(maxsize=256)
def codec_of(name: str) -> str | None:
    """Return the Python codec of one name in MSH-18, or None when it names none we know.

    Examples:
        >>> codec_of("8859/1"), codec_of("WINDOWS-1251"), codec_of("UTF8"), codec_of("rot13")
        ('iso8859-1', 'cp1251', 'utf-8', None)
    """
    name = _CODECS.get(name.upper(), name)
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    return found if found == "utf-8" or _LETTERS.fullmatch(found) else None


def declared_sets(message: bytes) -> list[str]:
    r"""Return the repetitions of MSH-18 of one message, odd bytes left out.

    Examples:
        >>> declared_sets(b"MSH|^~\\&" + b"|" * 16 + b"~ISO IR87|")
        ['', 'ISO IR87']
    """
    header = re.split(rb"[\r\n]", message, maxsplit=1)[0]
    fields = header.split(header[3:4]) if len(header) > 3 else []
    text = fields[17].decode("ascii", "ignore") if len(fields) > 17 else ""
    return [name.strip() for name in re.split(r"[^\w /.:()+-]", text)]


def to_utf8(message: bytes) -> DecodedText | None:
    r"""Return one message in UTF-8 with the name of its character set; None if undecodable.

    Examples:
        >>> to_utf8("MSH|^~\\&|é".encode("latin-1")).charset
        'cp1252'
    """
    names = declared_sets(message)
    sets = [codec_of(name) for name in names if name]
    named = None not in sets
    # the first repetition is the message's own set, the others are switched to by escapes
    japanese = max((c for c in sets if c and c.startswith("iso2022")), default=None)
    if japanese and b"\x1b" in message:
        return _decode(message, japanese, named)
    own = sets[0] if names[0] else None
    try:
        message.decode("utf-8")
    except UnicodeDecodeError:
        if (own == "utf-8" and "UTF" in names[0].upper()) or _has_surrogates(message):
            return None
        # undeclared, or declared as ASCII and not so: what Windows senders send
        return _decode(message, own if own not in (None, "utf-8", "ascii") else "cp1252", named)
    return DecodedText(message, "utf-8", named)


def _has_surrogates(message: bytes) -> bool:
    """Return whether half characters are all that is wrong, as UTF-16 files may hold them."""
    try:
        message.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


_ONLY_IN_WINDOWS = re.compile(rb"[\x80-\x9f]")


def _decode(message: bytes, codec: str, named: bool) -> DecodedText | None:
    if codec == "iso8859-1" and _ONLY_IN_WINDOWS.search(message):
        codec = "cp1252"  # control characters in one, quotes and dashes in the other
    try:
        return DecodedText(message.decode(codec).encode("utf-8"), codec, named)
    except UnicodeDecodeError:
        if codec != "cp1252":
            return None
    # five bytes have no letter in Windows-1252; ISO 8859-1 has control characters there
    return DecodedText(message.decode("latin-1").encode("utf-8"), "iso8859-1", named)

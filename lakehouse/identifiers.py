r"""Identifiers: the raw form of a number with the authority that assigned it, and the normal form.

A raw identifier is ``AUTHORITY\x1fNUMBER`` (``qualified``). The normal form of each part:
upper-case, Unicode compatibility form (NFKC), no white space or control characters at the ends,
one blank for any run of them inside. Leading zeros stay: ``007`` and ``7`` are two numbers.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SEPARATOR = "\x1f"
"""Between authority and number in a raw identifier (ASCII unit separator)."""


def qualified(authority: pa.Array | str, number: pa.Array) -> pa.Array:
    r"""Join assigning authority and number into the raw form of an identifier.

    Null or empty numbers give null; a null authority counts as empty. A separator inside the
    authority becomes a blank, so that two identifiers never share one raw form.

    Examples:
        >>> qualified(pa.array(["HOSP", None, "X"]), pa.array(["1", "2", ""])).to_pylist()
        ['HOSP\x1f1', '\x1f2', None]
    """
    number = pc.if_else(pc.equal(number, ""), pa.scalar(None, number.type), number)
    if isinstance(authority, str):
        authority = pa.scalar(authority.replace(SEPARATOR, " "))
    elif pc.any(pc.match_substring(authority, SEPARATOR)).as_py():
        authority = pc.replace_substring(authority, SEPARATOR, " ")
    return pc.binary_join_element_wise(
        pc.fill_null(authority, ""), number, SEPARATOR, null_handling="emit_null"
    )


def qualified_number(authority: str | None, number: str | None) -> str | None:
    r"""Return the raw form of one identifier; None without a number.

    Examples:
        >>> qualified_number("HOSP", "1"), qualified_number(None, "2"), qualified_number("X", "")
        ('HOSP\x1f1', '\x1f2', None)
    """
    return f"{(authority or '').replace(SEPARATOR, ' ')}{SEPARATOR}{number}" if number else None


_BLANK = re.compile(r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2060\ufeff]+")

_BLANKS = bytes(0x20 if code <= 0x20 or code == 0x7F else code for code in range(256))
"""What ``_BLANK`` matches among ASCII, as a table for ``bytes.translate``."""

# A raw identifier that is not (or may not be) in normal form already: lower case, controls, any
# non-ASCII character, blanks at an end or in a row, an explicit null, no or a second separator.
_IRREGULAR = r'[a-z\x00-\x1e\x7f-\x{10FFFF}]|  |^ | $| \x1f|\x1f |\x1f"*$|\x1f.*\x1f|^[^\x1f]*$'


def normal_text(text: str) -> str:
    r"""Return the normal form of one part of an identifier.

    Examples:
        >>> normal_text("  ab\t 007 \x00")
        'AB 007'
    """
    # upper-casing first, so that it commutes with the ASCII upper-casing of a whole column
    folded = unicodedata.normalize("NFKC", text.upper()).upper()
    return _BLANK.sub(" ", folded).strip(" ")


def normal_identity(authority: str, number: str) -> str | None:
    r"""Return the normal form of a whole identifier, or None when its number is blank.

    Examples:
        >>> normal_identity("hosp ", " 007")
        'HOSP\x1f007'
    """
    folded = normal_text(number)
    if not folded.strip('"'):  # "" is the explicit null of HL7; one pseudonym for all would merge
        return None
    return f"{normal_text(authority)}{SEPARATOR}{folded}"


def _from_raw(raw: bytes) -> bytes:
    """Return the normal form of a raw identifier; without a separator all of it is the number."""
    if raw.isascii():  # the same as below for upper-case ASCII, in a quarter of the time
        authority, found, number = raw.partition(b"\x1f")
        if not found:
            authority, number = b"", authority
        number = b" ".join(number.translate(_BLANKS).split())
        if not number.strip(b'"'):
            return b""
        return b" ".join(authority.translate(_BLANKS).split()) + b"\x1f" + number
    # a column cut out of a file may hold bytes that are not UTF-8; they must not raise here
    text, parted, rest = raw.decode("utf-8", "surrogateescape").partition(SEPARATOR)
    normal = normal_identity(text, rest) if parted else normal_identity("", text)
    return (normal or "").encode("utf-8", "surrogateescape")


class Identities(NamedTuple):
    """Distinct identifiers in normal form.

    Attributes:
        normal: The normal forms; empty for a blank one.
        named: Which of them are not blank.
    """

    normal: list[bytes]
    named: npt.NDArray[np.bool_]


def normal_identities(raw: pa.Array) -> Identities:
    r"""Return the normal forms of a column of distinct raw identifiers; null is blank.

    Examples:
        >>> found = normal_identities(pa.array(["hosp\x1f7 ", "HOSP\x1f", None]))
        >>> found.normal, found.named.tolist()
        ([b'HOSP\x1f7', b'', b''], [True, False, False])
    """
    upper = pc.ascii_upper(raw.fill_null(""))  # most of what is irregular is lower case only
    normal: list[bytes] = upper.cast(pa.binary()).to_pylist()
    named = np.ones(len(normal), dtype=bool)
    irregular = pc.match_substring_regex(upper, _IRREGULAR).to_numpy(zero_copy_only=False)
    for i in np.flatnonzero(irregular):
        normal[i] = _from_raw(normal[i])
        named[i] = bool(normal[i])
    return Identities(normal, named)

"""The encodings and spellings of an identifier, and a folded form of text to compare.

Folding removes case and accents and resolves compatibility characters (Unicode TR 15 and TR 21), so
that ``José``, ``JOSÉ``, ``Jose`` and both ways of writing an accent are equal.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Iterator

SHORTEST = 5
"""Fewest characters of a token; shorter ones occur by chance."""

_SEPARATORS = r"[\s\-./()_,:;^&~'’ʼ`´\"|\\]+"
_ANYWHERE = re.compile(_SEPARATORS)
_WITHIN_LINE = re.compile(_SEPARATORS.replace(r"\s", r"\t\r \xa0"))
_GROUPED = re.compile(r"(?<=\d)[-/ ](?=\d)")
_MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")
_CODE_POINT = re.compile(r"\\+[uU]([0-9a-fA-F]{4})")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_BYTES = re.compile(r"(?:(?:%|=|\\+x)[0-9a-fA-F]{2})+")
_BYTE = re.compile(r"%|=|\\+x")


def fold(text: str) -> str:
    """Return text without case and accents.

    Examples:
        >>> fold("MÜLLER-Lüdenscheidt"), fold("Straße"), fold("Jose\u0301")
        ('muller-ludenscheidt', 'strasse', 'jose')
    """
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return _MARKS.sub("", apart).casefold()


_LATIN = bytes(
    ord(f) if len(f := fold(chr(b))) == 1 and ord(f) < 256 else ord(chr(b).lower()) & 255
    for b in range(256)
)


def fold_latin(data: bytes) -> str:
    """Return bytes read as Latin-1, without case and accents.

    Examples:
        >>> fold_latin("José MÜLLER".encode("latin-1"))
        'jose muller'
    """
    return data.translate(_LATIN).decode("latin-1").replace("ß", "ss")


def strip_separators(text: str, *, lines: bool = False) -> str:
    r"""Return text without separators between the parts of names and numbers.

    Args:
        text: The text.
        lines: Whether each line is a separate value, so that the ends of lines stay.

    Examples:
        >>> strip_separators("O'Brien-Smith, A."), strip_separators("1-2\n3", lines=True)
        ('OBrienSmithA', '12\n3')
    """
    return (_WITHIN_LINE if lines else _ANYWHERE).sub("", text)


def join_digit_groups(text: str) -> str:
    """Return text with the digit groups of each number joined.

    Examples:
        >>> join_digit_groups("SSN 078-05-1120, room 7")
        'SSN 078051120, room 7'
    """
    return _GROUPED.sub("", text)


def unescape(text: str) -> str:
    r"""Return text without the escapes of JSON, HTML, URLs and quoted-printable.

    Examples:
        >>> unescape(r"Jos\u00e9"), unescape("Jos%C3%A9 O%27Brien"), unescape("M&uuml;ller")
        ('José', "José O'Brien", 'Müller')
    """
    if "\\" in text:
        text = _CODE_POINT.sub(lambda m: chr(int(m[1], 16)), text)
        text = _PAIR.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    if "&" in text:
        text = html.unescape(text)
    if "%" in text or "=" in text or "\\x" in text:
        text = _BYTES.sub(_decode_escapes, text)
    return text


def _decode_escapes(match: re.Match[str]) -> str:
    raw = bytes.fromhex(_BYTE.sub("", match[0]))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def text_forms(token: str) -> dict[str, str]:
    """Return the forms of a token to search for in folded text, by name.

    Examples:
        >>> forms = text_forms("O'Brien")
        >>> forms["plain"], forms["without separators"], forms["reversed"]
        ("o'brien", 'obrien', "neirb'o")
    """
    plain = fold(token)
    forms = {"plain": plain, "reversed": fold(token[::-1])}
    parts = strip_separators(plain)
    if len(parts) >= SHORTEST:
        forms["without separators"] = parts
        forms["reversed, without separators"] = parts[::-1]
    for number, raw in enumerate(_encodings(token)):
        forms[f"hex {number}"] = raw.hex()
    return forms


def exact_forms(token: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each form to search for in unfolded bytes."""
    for raw in _encodings(token):
        for text in _base64(raw):
            yield "base64", text
    if not token.isascii():  # the scanner finds ASCII in UTF-16 by leaving out the zero bytes
        for spelling in _spellings(token):
            for encoding in ("utf-16-le", "utf-16-be"):
                yield encoding, spelling.encode(encoding)


def _spellings(token: str) -> list[str]:
    cases = [token, token.lower(), token.upper(), token.casefold()]
    cases += [c for t in cases[:3] if len(c := strip_separators(t)) >= SHORTEST]
    both = [unicodedata.normalize(n, c) for c in cases for n in ("NFC", "NFD")]
    return list(dict.fromkeys(both))


def _encodings(token: str) -> list[bytes]:
    """Return the spellings of a token in UTF-8, Latin-1 and UTF-16, which programs may encode."""
    spellings = _spellings(token)
    encodings = [s.encode() for s in spellings]
    encodings += [s.encode("latin-1") for s in spellings if all(ord(c) < 256 for c in s)]
    encodings += [token.encode("utf-16-le"), token.encode("utf-16-be")]
    return list(dict.fromkeys(encodings))


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield the base64 text of bytes at each of its three alignments, without the ends."""
    for lead in range(3):
        text = base64.b64encode(bytes(lead) + raw)
        begin = -(-lead * 8 // 6)
        end = (lead + len(raw)) * 8 // 6
        if end - begin >= SHORTEST:
            yield text[begin:end]
            if b"+" in text or b"/" in text:
                yield text[begin:end].translate(bytes.maketrans(b"+/", b"-_"))

"""The forms in which an identifier could hide, and text made comparable.

Comparable means: without case, without accents, compatibility characters resolved (Unicode TR 15
and TR 21), so that ``José``, ``JOSÉ``, ``Jose`` and both ways of writing an accent are one.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Iterator

SHORTEST = 5
"""Characters below which a token occurs by chance and cannot be searched for."""

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
    """Return bytes that are taken for Latin-1, comparable.

    Examples:
        >>> fold_latin("José MÜLLER".encode("latin-1"))
        'jose muller'
    """
    return data.translate(_LATIN).decode("latin-1").replace("ß", "ss")


def bare(text: str, *, lines: bool = False) -> str:
    r"""Return text without what separates the parts of names and numbers.

    Args:
        text: The text.
        lines: Each line is a value of its own, so that the ends of lines stay.

    Examples:
        >>> bare("O'Brien-Smith, A."), bare("1-2\n3", lines=True)
        ('OBrienSmithA', '12\n3')
    """
    return (_WITHIN_LINE if lines else _ANYWHERE).sub("", text)


def ungrouped(text: str) -> str:
    """Return text with the groups of digits of each number joined.

    Examples:
        >>> ungrouped("SSN 078-05-1120, room 7")
        'SSN 078051120, room 7'
    """
    return _GROUPED.sub("", text)


def unescaped(text: str) -> str:
    r"""Return text with the escapes of JSON, HTML, URLs and quoted-printable undone.

    Examples:
        >>> unescaped(r"Jos\u00e9"), unescaped("Jos%C3%A9 O%27Brien"), unescaped("M&uuml;ller")
        ('José', "José O'Brien", 'Müller')
    """
    if "\\" in text:
        text = _CODE_POINT.sub(lambda m: chr(int(m[1], 16)), text)
        text = _PAIR.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    if "&" in text:
        text = html.unescape(text)
    if "%" in text or "=" in text or "\\x" in text:
        text = _BYTES.sub(_spelt, text)
    return text


def _spelt(match: re.Match[str]) -> str:
    raw = bytes.fromhex(_BYTE.sub("", match[0]))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def text_forms(token: str) -> dict[str, str]:
    """Return what to look for in comparable text, by the name of the form.

    Examples:
        >>> forms = text_forms("O'Brien")
        >>> forms["plain"], forms["without separators"], forms["reversed"]
        ("o'brien", 'obrien', "neirb'o")
    """
    plain = fold(token)
    found = {"plain": plain, "reversed": fold(token[::-1])}
    parts = bare(plain)
    if len(parts) >= SHORTEST:
        found["without separators"] = parts
        found["reversed, without separators"] = parts[::-1]
    for number, raw in enumerate(_encoded(token)):
        found[f"hex {number}"] = raw.hex()
    return found


def exact_forms(token: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name of the form, what to look for among bytes, case and all)."""
    for raw in _encoded(token):
        for text in _base64(raw):
            yield "base64", text
    if not token.isascii():  # others are found where the zeros between their letters are left out
        for spelling in _spellings(token):
            for encoding in ("utf-16-le", "utf-16-be"):
                yield encoding, spelling.encode(encoding)


def _spellings(token: str) -> list[str]:
    cases = [token, token.lower(), token.upper(), token.casefold()]
    cases += [c for t in cases[:3] if len(c := bare(t)) >= SHORTEST]
    both = [unicodedata.normalize(n, c) for c in cases for n in ("NFC", "NFD")]
    return list(dict.fromkeys(both))


def _encoded(token: str) -> list[bytes]:
    """Return the bytes that a program might pack: spellings in UTF-8, Latin-1 and UTF-16."""
    spellings = _spellings(token)
    found = [s.encode() for s in spellings]
    found += [s.encode("latin-1") for s in spellings if _latin(s)]
    found += [token.encode("utf-16-le"), token.encode("utf-16-be")]
    return list(dict.fromkeys(found))


def _latin(text: str) -> bool:
    return all(ord(c) < 256 for c in text)


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of bytes at each of its three alignments, ends left out."""
    for lead in range(3):
        text = base64.b64encode(bytes(lead) + raw)
        begin = -(-lead * 8 // 6)
        end = (lead + len(raw)) * 8 // 6
        if end - begin >= SHORTEST:
            yield text[begin:end]
            if b"+" in text or b"/" in text:
                yield text[begin:end].translate(bytes.maketrans(b"+/", b"-_"))

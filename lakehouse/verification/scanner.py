"""Searches decoded bytes for identifiers in many forms at once.

Two rules tell occurrences by chance from hits:

- a short number counts only where it is not a part of a longer number, a pseudonym, a digest or a
  file name
- a whole number in a numeric column or in the storage's own counts may be an ordinary value, so it
  is marked for a person to judge
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import ahocorasick

from lakehouse.errors import InputError
from lakehouse.verification.token_forms import (
    SHORTEST,
    exact_forms,
    fold,
    fold_latin,
    join_digit_groups,
    strip_separators,
    text_forms,
    unescape,
)

_BY_CHANCE = 7
"""Fewest characters that do not occur in compressed bytes by chance."""

_LONG_NUMBER = 10
"""Fewest digits of a number that is also searched for within longer ones."""

_GROUPED_NUMBER = 8
"""Fewest digits of a number that is searched for in groups; LOINC codes (``2345-7``) have fewer."""

_DIGEST = re.compile(
    r"[0-9a-f]{16}-\d{8}(?!\d)|[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|[0-9a-f]{13}-[0-9a-f]{12}|views-[0-9a-f]{12}"
)
"""Pseudonyms, digests, ids of records, files, snapshots and attempts."""

_REACH = 80
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Hit:
    """An occurrence of a token.

    Attributes:
        number: Line of the token in its file, from 1; the token itself is never repeated.
        form: Form of the occurrence.
        place: File and part of the occurrence.
        may_be_value: Whether it may be an ordinary number, for a person to judge.
    """

    number: int
    form: str
    place: str
    may_be_value: bool = False


@dataclass(frozen=True)
class _Form:
    number: int
    name: str
    text: str

    @property
    def is_short_number(self) -> bool:
        return self.text.isdigit() and len(self.text) < _LONG_NUMBER


@dataclass
class Scanner:
    """Searches for many tokens at once, with one automaton for text and one for bytes.

    Args:
        tokens: Identifiers, by the number to report.

    Attributes:
        n_bytes: Number of decoded bytes searched.
    """

    tokens: dict[int, str]
    n_bytes: int = 0
    _texts: ahocorasick.Automaton = field(default_factory=ahocorasick.Automaton, repr=False)
    _bytes: ahocorasick.Automaton = field(default_factory=ahocorasick.Automaton, repr=False)

    def __post_init__(self) -> None:
        for number, token in self.tokens.items():
            for name, text in text_forms(token).items():
                _add_form(self._texts, _Form(number, name.rstrip(" 0123456789"), text))
            for name, raw in exact_forms(token):
                _add_form(self._bytes, _Form(number, name, raw.decode("latin-1")))
        for automaton in (self._texts, self._bytes):
            if len(automaton):
                automaton.make_automaton()

    def hits(
        self, data: bytes, place: str, *, lines: bool = False, values: bool = False
    ) -> set[Hit]:
        """Return the tokens that occur in some bytes.

        Args:
            data: Decoded bytes.
            place: Their name in a hit.
            lines: Whether each line is a separate value.
            values: Whether they are numbers, or hold the storage's own numbers.
        """
        self.n_bytes += len(data)
        plain = data.decode("utf-8", "surrogateescape")
        readable = not _SURROGATE.search(plain) or not _CONTROL.search(data)
        is_text = readable and b"\0" not in data
        folded = fold(plain)
        how_found = dict.fromkeys(_matches(self._texts, folded, is_text), "")
        how_found |= dict.fromkeys(_matches(self._bytes, data.decode("latin-1"), is_text), "")
        if not data.isascii():
            how_found |= dict.fromkeys(_matches(self._texts, fold_latin(data), is_text), "latin-1")
        if b"\0" in data:
            letters = data.replace(b"\0", b"")
            both = is_text or not _CONTROL.search(letters)
            how_found |= dict.fromkeys(_matches(self._texts, fold_latin(letters), both), "utf-16")
        if is_text:
            if b"\n" in data and not lines:
                unbroken = plain.replace("\r", "").replace("\n", "")
                how_found |= dict.fromkeys(_matches(self._bytes, unbroken, True), "")
            how_found |= self._match_without_separators(folded, "", lines)
            if (unescaped := unescape(plain)) != plain:
                reading = fold(unescaped)
                how_found |= dict.fromkeys(_matches(self._texts, reading, True), "escaped")
                how_found |= self._match_without_separators(reading, "escaped", lines)
        return {
            Hit(f.number, how or f.name, place, values and f.is_short_number)
            for f, how in how_found.items()
        }

    def _match_without_separators(self, text: str, how: str, lines: bool) -> dict[_Form, str]:
        """Return the forms that occur in text without separators.

        Such text does not show where a number ends, so a number is searched for in groups instead.
        """
        parts = strip_separators(text, lines=lines)
        matches = {f: how for f in _matches(self._texts, parts, True) if not f.is_short_number}
        for form in _matches(self._texts, join_digit_groups(text), True):
            if form.is_short_number and len(form.text) >= _GROUPED_NUMBER:
                matches[form] = how
        return matches


_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1b\x1d-\x1f]")  # 0B and 1C frame HL7 messages


def _matches(automaton: ahocorasick.Automaton, hay: str, is_text: bool) -> Iterable[_Form]:
    if not len(automaton):
        return
    for end, forms in automaton.iter(hay):
        for form in forms:
            size = len(form.text)
            if (is_text or size >= _BY_CHANCE) and _is_whole_occurrence(
                form, hay, end + 1 - size, end + 1
            ):
                yield form


def _is_whole_occurrence(form: _Form, hay: str, start: int, end: int) -> bool:
    """Return whether an occurrence is whole, and not part of a number or digest."""
    if form.is_short_number:
        while start and hay[start - 1] == "0":  # leading zeros change no number
            start -= 1
        if hay[start - 1 : start].isdigit() or hay[end : end + 1].isdigit():
            return False
    if len(form.text) >= 16 or not _HEX.issuperset(form.text):
        return True
    first = max(0, start - _REACH)
    around = _DIGEST.finditer(hay[first : end + _REACH])
    return not any(m.start() + first <= start and end <= m.end() + first for m in around)


def _add_form(automaton: ahocorasick.Automaton, form: _Form) -> None:
    forms = automaton.get(form.text, [])
    if all(f.number != form.number for f in forms):
        automaton.add_word(form.text, [*forms, form])


def read_tokens(lines: Iterable[str]) -> dict[int, str]:
    """Return the tokens of a file, one a line, by line number; blank lines are left out.

    Raises:
        InputError: The file has no token, or one so short that it occurs by chance.
    """
    tokens = {n: line.strip() for n, line in enumerate(lines, 1) if line.strip()}
    if not tokens:
        raise InputError("The token file holds no token.", "Give one identifier a line.")
    short = [str(n) for n, token in tokens.items() if len(token) < SHORTEST]
    if short:
        shown = ", ".join(short[:10]) + (" ..." if len(short) > 10 else "")
        raise InputError(
            f"Tokens of fewer than {SHORTEST} characters occur by chance and prove nothing: "
            f"line {shown}.",
            "Leave them out, or write them with what stands beside them: surname and first name.",
        )
    return tokens

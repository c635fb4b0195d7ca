"""Searching decoded bytes for identifiers, in every form in which they could hide.

What is found is a hit; whether by chance is told as far as that can be told:

- a short run of digits counts only where it stands alone: within a longer number, a pseudonym, a
  digest or an identifier of a file it is a part of something else
- a number that stands alone in a numeric column or in the storage's own counts may be a value
  like any other: it is reported as such, for a person to judge
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import ahocorasick

from lakehouse.errors import InputError
from lakehouse.verification.token_forms import (
    SHORTEST,
    bare,
    exact_forms,
    fold,
    fold_latin,
    text_forms,
    unescaped,
    ungrouped,
)

_BY_CHANCE = 7
"""Characters below which anything turns up in compressed bytes by chance."""

_LONG_NUMBER = 10
"""Digits from which on a number is looked for within longer ones as well."""

_GROUPED_NUMBER = 8
"""Digits from which on a number is looked for in groups; LOINC codes are shorter (``2345-7``)."""

_DIGEST = re.compile(
    r"[0-9a-f]{16}-\d{8}(?!\d)|[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|[0-9a-f]{13}-[0-9a-f]{12}|views-[0-9a-f]{12}"
)
"""Pseudonyms, digests, ids of records, files, snapshots and attempts."""

_REACH = 80
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Hit:
    """A token that was found.

    Attributes:
        number: Its line in the token file, from 1; the token itself is never repeated.
        form: In which form.
        place: In which file and part.
        value: It may be a number like any other: a person must judge.
    """

    number: int
    form: str
    place: str
    value: bool = False


@dataclass(frozen=True)
class _Form:
    number: int
    name: str
    text: str

    @property
    def short_number(self) -> bool:
        return self.text.isdigit() and len(self.text) < _LONG_NUMBER


@dataclass
class Scanner:
    """Looks for many tokens at once.

    Args:
        tokens: Identifiers, by the number to report.

    Attributes:
        n_bytes: Decoded bytes looked through.
    """

    tokens: dict[int, str]
    n_bytes: int = 0
    _texts: ahocorasick.Automaton = field(default_factory=ahocorasick.Automaton, repr=False)
    _bytes: ahocorasick.Automaton = field(default_factory=ahocorasick.Automaton, repr=False)

    def __post_init__(self) -> None:
        for number, token in self.tokens.items():
            for name, text in text_forms(token).items():
                _add(self._texts, _Form(number, name.rstrip(" 0123456789"), text))
            for name, raw in exact_forms(token):
                _add(self._bytes, _Form(number, name, raw.decode("latin-1")))
        for automaton in (self._texts, self._bytes):
            if len(automaton):
                automaton.make_automaton()

    def hits(
        self, data: bytes, place: str, *, lines: bool = False, values: bool = False
    ) -> set[Hit]:
        """Return the tokens that occur in some bytes.

        Args:
            data: Decoded bytes.
            place: What to call them.
            lines: Each line is a value of its own.
            values: They are numbers, or hold numbers of the storage's own.
        """
        self.n_bytes += len(data)
        plain = data.decode("utf-8", "surrogateescape")
        readable = not _SURROGATE.search(plain) or not _CONTROL.search(data)
        is_text = readable and b"\0" not in data
        folded = fold(plain)
        found = dict.fromkeys(_matches(self._texts, folded, is_text), "")
        found |= dict.fromkeys(_matches(self._bytes, data.decode("latin-1"), is_text), "")
        if not data.isascii():
            found |= dict.fromkeys(_matches(self._texts, fold_latin(data), is_text), "latin-1")
        if b"\0" in data:
            letters = data.replace(b"\0", b"")
            both = is_text or not _CONTROL.search(letters)
            found |= dict.fromkeys(_matches(self._texts, fold_latin(letters), both), "utf-16")
        if is_text:
            if b"\n" in data and not lines:
                unbroken = plain.replace("\r", "").replace("\n", "")
                found |= dict.fromkeys(_matches(self._bytes, unbroken, True), "")
            found |= self._read(folded, "", lines)
            if (undone := unescaped(plain)) != plain:
                reading = fold(undone)
                found |= dict.fromkeys(_matches(self._texts, reading, True), "escaped")
                found |= self._read(reading, "escaped", lines)
        return {
            Hit(f.number, how or f.name, place, values and f.short_number)
            for f, how in found.items()
        }

    def _read(self, text: str, how: str, lines: bool) -> dict[_Form, str]:
        """Return what is found without separators.

        Whether a number stands alone cannot be seen then: it is looked for in groups instead.
        """
        parts = bare(text, lines=lines)
        found = {f: how for f in _matches(self._texts, parts, True) if not f.short_number}
        for form in _matches(self._texts, ungrouped(text), True):
            if form.short_number and len(form.text) >= _GROUPED_NUMBER:
                found[form] = how
        return found


_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1b\x1d-\x1f]")  # 0B and 1C frame HL7 messages


def _matches(automaton: ahocorasick.Automaton, hay: str, is_text: bool) -> Iterable[_Form]:
    if not len(automaton):
        return
    for end, forms in automaton.iter(hay):
        for form in forms:
            size = len(form.text)
            if (is_text or size >= _BY_CHANCE) and _counts(form, hay, end + 1 - size, end + 1):
                yield form


def _counts(form: _Form, hay: str, start: int, end: int) -> bool:
    """Return whether an occurrence is one, and not a part of something else."""
    if form.short_number:
        while start and hay[start - 1] == "0":  # leading zeros change no number
            start -= 1
        if hay[start - 1 : start].isdigit() or hay[end : end + 1].isdigit():
            return False
    if len(form.text) >= 16 or not _HEX.issuperset(form.text):
        return True
    first = max(0, start - _REACH)
    around = _DIGEST.finditer(hay[first : end + _REACH])
    return not any(m.start() + first <= start and end <= m.end() + first for m in around)


def _add(automaton: ahocorasick.Automaton, form: _Form) -> None:
    known = automaton.get(form.text, [])
    if all(f.number != form.number for f in known):
        automaton.add_word(form.text, [*known, form])


def read_tokens(lines: Iterable[str]) -> dict[int, str]:
    """Return the tokens of a file, one a line, by line number; blank lines are left out.

    Raises:
        InputError: There is none, or one is so short that it occurs by chance.
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

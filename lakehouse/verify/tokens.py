"""Searching decoded bytes for identifiers, in every form in which they could hide."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import ahocorasick

SHORTEST = 5
"""Characters below which a token occurs by chance and cannot be searched for."""

_BY_CHANCE = 7  # shorter ones turn up in compressed bytes by chance
_SEPARATORS = re.compile(rb"[\s\-./()_,:^]+")


def forms(token: str) -> dict[str, bytes]:
    """Return a token as it could be written, by the name of the form.

    Examples:
        >>> forms("12-345-6")["without separators"], forms("12-345-6")["reversed"]
        (b'123456', b'6-543-21')
    """
    plain = token.casefold().encode()
    bare = _SEPARATORS.sub(b"", plain)
    found = {
        "plain": plain,
        "reversed": token[::-1].casefold().encode(),
        "hex": token.encode().hex().encode(),
    }
    if len(bare) >= SHORTEST:
        found["without separators"] = bare
    return found


def base64_forms(token: str) -> list[bytes]:
    """Return what base64 makes of a token at each of its three alignments, ends left out."""
    raw = token.encode()
    found = []
    for lead in range(3):
        text = base64.b64encode(bytes(lead) + raw)
        begin = -(-lead * 8 // 6)
        end = (lead + len(raw)) * 8 // 6
        if end - begin >= SHORTEST:
            found.append(text[begin:end])
    return found


@dataclass(frozen=True)
class Hit:
    """A token that was found.

    Attributes:
        number: Its line in the token file, from 1; the token itself is never repeated.
        form: In which form.
        place: In which file and part.
    """

    number: int
    form: str
    place: str


@dataclass
class Scanner:
    """Looks for many tokens at once.

    Args:
        tokens: Identifiers, by the number to report.

    Attributes:
        too_short: Numbers of tokens that cannot be searched for.
        n_bytes: Decoded bytes looked through.
    """

    tokens: dict[int, str]
    too_short: list[int] = field(default_factory=list)
    n_bytes: int = 0

    def __post_init__(self) -> None:
        self._folded, self._bare, self._exact = (ahocorasick.Automaton() for _ in range(3))
        for number, token in self.tokens.items():
            if len(token.strip()) < SHORTEST:
                self.too_short.append(number)
                continue
            for name, form in forms(token.strip()).items():
                _add(self._folded, form, number, name)
                if name == "without separators":
                    _add(self._bare, form, number, name)
            for form in base64_forms(token.strip()):
                _add(self._exact, form, number, "base64")
        for automaton in (self._folded, self._bare, self._exact):
            if len(automaton):
                automaton.make_automaton()

    def hits(self, data: bytes, place: str, *, text: bool = True) -> set[Hit]:
        """Return the tokens that occur in some bytes.

        Args:
            data: Decoded bytes.
            place: What to call them.
            text: They are text; of other bytes, short tokens are passed over, which occur there
                by chance.
        """
        self.n_bytes += len(data)
        found: set[Hit] = set()
        folded = data.lower()
        for automaton, hay in ((self._folded, folded), (self._exact, data)):
            found |= self._search(automaton, hay, place, text)
        if text:
            found |= self._search(self._bare, _SEPARATORS.sub(b"", folded), place, text)
        return found

    def _search(
        self, automaton: ahocorasick.Automaton, hay: bytes, place: str, text: bool
    ) -> set[Hit]:
        if not len(automaton):
            return set()
        found = set()
        for _, matches in automaton.iter(hay.decode("latin-1")):
            for number, form, size in matches:
                if text or size >= _BY_CHANCE:
                    found.add(Hit(number, form, place))
        return found


def _add(automaton: ahocorasick.Automaton, form: bytes, number: int, name: str) -> None:
    key = form.decode("latin-1")
    matches = automaton.get(key, [])
    matches.append((number, name, len(key)))
    automaton.add_word(key, matches)


def read_tokens(lines: Iterable[str]) -> dict[int, str]:
    """Return the tokens of a file, one a line, by line number; blank lines are left out."""
    return {n: line.strip() for n, line in enumerate(lines, 1) if line.strip()}

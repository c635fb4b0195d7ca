"""Known manufacturers and models of devices; people type their own names into these attributes.

``JOHN SMITH`` has the shape of a product's name, so a shape alone does not do. A name stays when
it is made of the words of ``catalog/dicom/devices.csv`` and of a site's own ``devices.csv``.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.errors import DefinitionError
from lakehouse.formats.dicom.vocabulary.terms import MAX_WORDS, is_known_text

LIST = "devices.csv"
"""The list, ours or the one in a site's folder of mappings: ``word``, ``kind``."""

MAKER, FIRM, MODEL = "maker", "firm", "model"
_KINDS = (MAKER, FIRM, MODEL)

_WORDS = re.compile(r"[^A-Z0-9]+")
_SHAPE = re.compile(r"[A-Z]{0,3}\d{1,4}(?:[A-Z]{1,2}\d{0,2})?|[A-Z]{1,2}")
"""``S7``, ``CX50``, ``15T`` (of 1.5T), ``MRT50H1``; letters without a digit are two at most."""

_COMPANY = re.compile(r",? (?:inc|co|ltd|llc|corp|gmbh|ag|kg|s\.?a|e\.?v|b\.?v)\.?$", re.IGNORECASE)
_PRODUCT = re.compile(r"[A-Za-z0-9 .&/()+_-]{1,64}")
_NUMBERED = re.compile(
    r"\d{5}|\d+[-/. ]\d+[-/. ]\d|\b(?:mrn|ssn|dob|pat(?:ient)?|id|name|born|tel|phone)\b[ :#]*\d",
    re.IGNORECASE,
)
_PRODUCT_DIGITS = 6

_site: set[tuple[str, str]] = set()


def _read_words(path: Path) -> frozenset[tuple[str, str]]:
    listed = set()
    for row in read_rows(path):
        word, kind = row.get("word") or "", (row.get("kind") or "").strip()
        if kind not in _KINDS or not _words(word):
            raise DefinitionError(
                f"{path} has a row that is no word of a device.",
                f"It needs the columns word and kind, one of {', '.join(_KINDS)}.",
            )
        listed.add((" ".join(_words(word)), kind))
    return frozenset(listed)


@cache
def add_site_devices(folders: tuple[str, ...]) -> None:
    """Make a site's own devices known to this process.

    Args:
        folders: Folders of mappings; one may hold a ``devices.csv``.

    Raises:
        DefinitionError: A list has a row that is no word of a device.
    """
    for folder in folders:
        if (path := Path(folder) / LIST).is_file():
            _site.update(_read_words(path))
    is_maker.cache_clear()
    is_model.cache_clear()


@cache
def _shipped_words() -> frozenset[tuple[str, str]]:
    return _read_words(Path(str(resource("catalog/dicom") / LIST)))


def _is_listed(word: str, kind: str) -> bool:
    return (word, kind) in _shipped_words() or (word, kind) in _site


def _words(text: str) -> list[str]:
    """Return the words of a name; the dots of ``G.E.`` and ``e.V.`` part none."""
    return [word for word in _WORDS.split(text.upper().replace(".", "")) if word]


@lru_cache(maxsize=1 << 14)
def is_product(text: str) -> bool:
    """Return whether a text has the shape of the name of a product or of its maker.

    Examples:
        >>> is_product("SonoSite, Inc."), is_product("SOMATOM Definition AS+")
        (True, True)
        >>> is_product("SMITH^JOHN 19581231"), is_product("MRN 1234"), is_product("1958-12-31")
        (False, False, False)
    """
    name = _COMPANY.sub("", text.strip())
    return (
        _PRODUCT.fullmatch(name) is not None
        and _NUMBERED.search(name) is None
        and sum(c.isdigit() for c in name) <= _PRODUCT_DIGITS
        and len(name.split()) <= MAX_WORDS
    )


@lru_cache(maxsize=1 << 14)
def is_maker(text: str) -> bool:
    """Return whether a text is the name of a known maker, and words of firms behind it.

    Examples:
        >>> is_maker("G.E. Medical Systems"), is_maker("SonoSite, Inc."), is_maker("JOHN SMITH")
        (True, True, False)
    """
    words = _words(text)
    return any(
        _is_listed(" ".join(words[:n]), MAKER) and all(_is_listed(w, FIRM) for w in words[n:])
        for n in range(len(words), 0, -1)
    )


@lru_cache(maxsize=1 << 14)
def is_model(text: str) -> bool:
    """Return whether a text is the name of a model: known words, and numbers of their shape.

    Examples:
        >>> is_model("SOMATOM Definition AS+"), is_model("CX50"), is_model("Eclipse 1.5T")
        (True, True, True)
        >>> is_model("JOHN SMITH"), is_model("SMITH 1"), is_model("123456")
        (False, False, False)
    """
    words = _words(text)
    speaks = not "".join(words).isdigit()
    return is_product(text) and speaks and all(map(_is_word_of_a_model, words))


def _is_word_of_a_model(word: str) -> bool:
    if _SHAPE.fullmatch(word) or any(_is_listed(word, kind) for kind in _KINDS):
        return True
    letters = word.strip("0123456789")
    return (len(letters) > 1 and _is_listed(letters, MODEL)) or is_known_text(word)

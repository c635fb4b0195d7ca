"""Each form in which an identifier could hide is found, and what is none is not."""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Callable

import pytest

from lakehouse.errors import InputError
from lakehouse.verification.scanner import Scanner, read_tokens

NAMES = ["José Müller", "O'Brien-Smith", "Łukasz Żółć", "MÜLLER-Lüdenscheidt", "李小龍王五"]

FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "lower case": lambda t: t.lower().encode(),
    "upper case": lambda t: t.upper().encode(),
    "mixed case": lambda t: t.swapcase().encode(),
    "NFC": lambda t: unicodedata.normalize("NFC", t).encode(),
    "NFD": lambda t: unicodedata.normalize("NFD", t).encode(),
    "UTF-16-LE": lambda t: t.encode("utf-16-le"),
    "UTF-16-BE": lambda t: t.encode("utf-16-be"),
    "UTF-16 in upper case": lambda t: t.upper().encode("utf-16-le"),
    "JSON": lambda t: json.dumps({"n": t}).encode(),
    "JSON in JSON": lambda t: json.dumps(json.dumps({"n": t.upper()})).encode(),
    "JSON in hexadecimal capitals": lambda t: b"".join(b"\\u%04X" % ord(c) for c in t),
    "URL": lambda t: b"".join(b"%%%02x" % b for b in t.encode()),
    "HTML": lambda t: "".join(f"&#{ord(c)};" for c in t).encode(),
    "quoted-printable": lambda t: b"".join(b"=%02X" % b for b in t.encode()),
    "reversed": lambda t: t[::-1].upper().encode(),
    "without separators": lambda t: "".join(c for c in t if c.isalnum()).encode(),
    "other separators": lambda t: "_".join(c for c in t if c.isalnum()).encode(),
    "other apostrophe": lambda t: t.replace("'", "’").encode(),
    "reversed without separators": lambda t: "".join(c for c in t[::-1] if c.isalnum()).encode(),
    "hex": lambda t: t.encode().hex().encode(),
    "hex in capitals": lambda t: t.encode().hex().upper().encode(),
    "hex of lower case": lambda t: t.lower().encode().hex().encode(),
    "hex of upper case": lambda t: t.upper().encode().hex().encode(),
    "hex without separators": lambda t: (
        t.replace("'", "").replace("-", "").replace(" ", "").encode().hex().encode()
    ),
    "hex of UTF-16": lambda t: t.encode("utf-16-le").hex().encode(),
    "base64 of lower case": lambda t: base64.b64encode(b"x" + t.lower().encode() + b"yy"),
    "base64 at 0": lambda t: base64.b64encode(t.encode() + b"yy"),
    "base64 at 1": lambda t: base64.b64encode(b"x" + t.encode() + b"yy"),
    "base64 at 2": lambda t: base64.b64encode(b"xx" + t.encode() + b"yy"),
    "base64 for URLs": lambda t: base64.urlsafe_b64encode(b"xx" + t.encode() + b"yy"),
    "base64 in lines": lambda t: base64.encodebytes(b"z" * 54 + t.encode() + b"yy"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_form_is_found(name: str, form: str) -> None:
    scanner = Scanner({1: "nobody at all", 2: name})
    found = scanner.hits(b"<" + FORMS[form](name) + b">", "here")
    assert {h.number for h in found} == {2}, form


@pytest.mark.parametrize("name", ["José Müller", "Müller", "Çelik"])
def test_latin_1_is_found_also_when_it_is_short(name: str) -> None:
    for spelt in (name, name.upper(), name.lower()):
        found = Scanner({1: name}).hits(b"patient " + spelt.encode("latin-1") + b"\r\n", "here")
        assert [h.number for h in found] == [1]


def test_accents_left_out_are_found() -> None:
    found = Scanner({1: "José Müller"}).hits(b"JOSE MULLER", "here")
    assert {h.number for h in found} == {1}


@pytest.mark.parametrize(
    "text", ["100001", "MRN100001x", "0000100001", "id: 100001.", "100001^^^A"]
)
def test_a_short_number_is_found_where_it_stands_alone(text: str) -> None:
    (hit,) = Scanner({1: "100001"}).hits(text.encode(), "here")
    assert not hit.may_be_value


@pytest.mark.parametrize(
    "text",
    [
        "1000012",
        "5100001",
        "af3100001cde0123456789abcdef0123",  # a pseudonym
        "9cb2a100001fe9ca-00000001",  # an id of a record
        "deadbeef-1000-4001-8001-aa0100001bcd",
        "001a20d3100f5-f20100001f6a/00000-0000.parquet",
        "10000-1",  # a LOINC code
    ],
)
def test_a_short_number_within_something_else_is_none(text: str) -> None:
    assert Scanner({1: "100001"}).hits(text.encode(), "here") == set()


def test_a_short_number_in_a_column_of_numbers_is_noted() -> None:
    scanner = Scanner({1: "100001", 2: "98000000131"})
    found = scanner.hits(b"100001\n98000000131\n", "here", values=True)
    assert {(h.number, h.may_be_value) for h in found} == {(1, True), (2, False)}


def test_a_grouped_number_is_found() -> None:
    for text in ("078-05-1120", "078 05 1120", "078051120"):
        for token in ("078-05-1120", "078051120"):
            assert Scanner({1: token}).hits(text.encode(), "here"), (text, token)


def test_values_of_a_column_do_not_run_together() -> None:
    scanner = Scanner({1: "Anna Beth"})
    assert scanner.hits(b"Anna\nBeth", "here", lines=True) == set()
    assert scanner.hits(b"Anna\nBeth", "here")


def test_a_list_that_proves_nothing_is_refused() -> None:
    assert read_tokens(["one name", "", " other "]) == {1: "one name", 3: "other"}
    with pytest.raises(InputError, match="holds no token"):
        read_tokens(["", "  "])
    with pytest.raises(InputError, match="line 2, 3") as caught:
        read_tokens(["one name", "Ng", "Lee"])
    assert "Ng" not in str(caught.value)

"""Pseudonyms, offsets and new UIDs: keyed, separated, and the same through both doors."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.errors import InputError
from lakehouse.identifiers import normal_identities, normal_text, qualified
from lakehouse.privacy.identity.pseudonyms import (
    new_uid,
    new_uids,
    offset_days,
    pseudonym,
    pseudonyms,
    pseudonyms_and_offsets,
)
from lakehouse.privacy.keys.secret import Secret

SECRET = Secret(hashlib.sha256(b"one").digest())
OTHER = Secret(hashlib.sha256(b"two").digest())
NEWER = Secret(hashlib.sha256(b"one").digest(), 2)
DERIVATIONS = pytest.mark.parametrize("secret", [SECRET, NEWER], ids=["1", "2"])

# what record numbers are made of, and what breaks normal forms: blanks, controls, the separator
# itself, letters whose case or compatibility form has another length
awkward = st.text(
    st.sampled_from(list('aA0 19\t\x00\x1e\x1f\x7f\xa0\u2003\u200b\ufeff-^"ßſıİµéﬁＡ１①ŉΣς')),
    max_size=8,
)
parts = st.one_of(awkward, st.text(max_size=12))


def columnar(secret: Secret, domain: str, authority: str, number: str) -> str | None:
    raw = qualified(pa.array([authority]), pa.array([number]))
    return pseudonyms(secret, domain, normal_identities(raw))[0].as_py()


@settings(max_examples=500)
@given(parts, parts)
@example("hosp", "i\u0307")
@example("a\x1fb", "c")
@example("", '""')
def test_the_column_and_the_scalar_door_agree(authority: str, number: str) -> None:
    found = columnar(SECRET, "patient", authority, number)
    if found is None:
        with pytest.raises(InputError):
            pseudonym(SECRET, "patient", authority, number)
        return
    assert re.fullmatch("[0-9a-f]{32}", found)
    raw = normal_identities(qualified(authority, pa.array([number])))
    assert found == pseudonym(SECRET, "patient", authority, number)
    assert int(pseudonyms_and_offsets(SECRET, raw)[1][0]) == offset_days(SECRET, authority, number)


@given(st.lists(st.tuples(parts, parts), max_size=30))
def test_a_column_gives_each_row_what_it_gives_alone(rows: list[tuple[str, str]]) -> None:
    raw = qualified(
        pa.array([a for a, _ in rows], pa.string()), pa.array([n for _, n in rows], pa.string())
    )
    together = pseudonyms(SECRET, "provider", normal_identities(raw)).to_pylist()
    assert together == [columnar(SECRET, "provider", a, n) for a, n in rows]


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_a_pseudonym_is_the_hmac_it_is_said_to_be(authority: str, number: str) -> None:
    """HMAC-SHA256 of domain, authority and number, written out anew from its definition."""
    blank = r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2060\ufeff]+"

    def normal(text: str) -> str:
        folded = unicodedata.normalize("NFKC", text.upper()).upper()
        return re.sub(blank, " ", folded).strip(" ")

    if not normal(number).strip('"'):
        return
    message = f"patient\x1f{normal(authority)}\x1f{normal(number)}".encode()
    digest = hmac.new(SECRET.subkey("pseudonym"), message, hashlib.sha256).hexdigest()
    assert pseudonym(SECRET, "patient", authority, number) == digest[:32]


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=12))
def test_no_pseudonym_is_an_unkeyed_hash(number: str) -> None:
    try:
        found = pseudonym(SECRET, "patient", "HOSP", number)
    except InputError:
        return
    uid = new_uid(SECRET, number) if number.strip() else ""
    inputs = {
        prefix + separator + text
        for text in (number, number.strip(), number.upper(), number.lower(), normal_text(number))
        for prefix in ("", "HOSP", "patient", "patient\x1fHOSP", "patientHOSP")
        for separator in ("", "\x1f", "|", ":", "-", "^", "/", " ", "_", "\0", ",")
    }
    for text in inputs:
        for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"):
            raw = hashlib.new(name, text.encode(), usedforsecurity=False).digest()
            for whole in (raw, raw[:16], raw[-16:]):
                assert found != whole.hex()
                assert found.encode() != base64.b64encode(whole)
                assert uid != f"2.25.{int.from_bytes(whole, 'big')}"


@given(st.text("0123456789ABC", min_size=1, max_size=10))
def test_domain_authority_and_key_each_make_another_pseudonym(number: str) -> None:
    found = [
        pseudonym(secret, domain, authority, number)
        for secret in (SECRET, OTHER)
        for domain in ("patient", "provider", "identifier.order", "identifier.encounter")
        for authority in ("", "HOSP", "HOSP2")
    ]
    assert len(set(found)) == len(found)
    assert pseudonym(SECRET, "patient", "HOSP", number) != SECRET.digest("file", number.encode())


def test_authority_and_number_do_not_run_together() -> None:
    assert pseudonym(SECRET, "patient", "AB", "C") != pseudonym(SECRET, "patient", "A", "BC")
    assert columnar(SECRET, "patient", "A", "B\x1fC") != columnar(SECRET, "patient", "A\x1fB", "C")
    assert columnar(SECRET, "patient", "", "A\x1fB") != columnar(SECRET, "patient", "A", "B")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("hosp", "12 34"), ("HOSP ", " 12  34")),
        (("HOSP", "a1"), ("hosp", "A1")),
        (("HOSP", "A1\x00\x00"), ("HOSP", "A1")),  # DICOM pads with NUL
        (("HOSP", "１２"), ("HOSP", "12")),  # full-width digits of a Japanese system
        (("HOSP", "e\u0301"), ("HOSP", "\xc9")),  # one letter in two forms of Unicode
    ],
)
def test_one_identity_written_in_two_ways(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert columnar(SECRET, "patient", *one) == columnar(SECRET, "patient", *other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("H", "007"), ("H", "7")), (("H", "1-2"), ("H", "12")), (("H", "1"), ("", "1"))],
)
def test_two_identities_stay_two(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert columnar(SECRET, "patient", *one) != columnar(SECRET, "patient", *other)


@pytest.mark.parametrize("number", ["", " ", "\t", "\x00", "\u2003", '""', ' "" ', "\x1f"])
def test_a_blank_number_has_no_pseudonym(number: str) -> None:
    assert columnar(SECRET, "patient", "HOSP", number) is None
    with pytest.raises(InputError):
        offset_days(SECRET, "HOSP", number)


def test_a_value_without_a_separator_is_a_number_of_no_authority() -> None:
    assert normal_identities(pa.array(["x1", None])).normal == [b"\x1fX1", b""]


def test_bytes_that_are_not_utf8_do_not_raise() -> None:
    raw = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\4\0\0\0"), pa.py_buffer(b"H\x1f\xe9 ")]
    )
    assert normal_identities(raw).normal == [b"H\x1f\xe9"]


@DERIVATIONS
@given(number=st.text("0123456789", min_size=1, max_size=10))
def test_offsets_are_between_100_and_200_years(secret: Secret, number: str) -> None:
    days = offset_days(secret, "H", number)
    assert 36_525 <= days <= 73_049
    assert days == offset_days(secret, "h ", f" {number}")


@DERIVATIONS
def test_offsets_spread_over_the_whole_span_and_follow_the_key(secret: Secret) -> None:
    raw = normal_identities(qualified("H", pa.array([str(i) for i in range(20_000)])))
    found = pseudonyms_and_offsets(secret, raw)[1]
    assert found.min() < 36_600
    assert found.max() > 72_975
    assert len(set(found.tolist())) > 12_000
    for other in (OTHER, NEWER if secret is SECRET else SECRET):
        assert (found != pseudonyms_and_offsets(other, raw)[1]).mean() > 0.99


@DERIVATIONS
def test_an_offset_says_nothing_of_its_pseudonym(secret: Secret) -> None:
    """They come from two sub-keys, or from parts of one digest that do not overlap."""
    digest = bytes.fromhex(pseudonym(secret, "patient", "H", "1"))
    days = offset_days(secret, "H", "1")
    for start in range(9):
        assert 36_525 + int.from_bytes(digest[start : start + 8], "big") % 36_525 != days


def test_pseudonym_and_offset_are_disjoint_parts_of_one_hmac() -> None:
    """Derivation 2, written out anew from its definition."""
    digest = hmac.new(NEWER.subkey("pseudonym"), b"patient\x1fH\x1f1", hashlib.sha256).digest()
    assert pseudonym(NEWER, "patient", "H", "1") == digest[:16].hex()
    assert offset_days(NEWER, "H", "1") == 36_525 + int.from_bytes(digest[16:24], "big") % 36_525


def test_nobody_has_neither_pseudonym_nor_offset() -> None:
    names, days = pseudonyms_and_offsets(
        NEWER, normal_identities(pa.array(["H\x1f1", "H\x1f", None]))
    )
    assert names.is_valid().to_pylist() == [True, False, False]
    assert (days != 0).tolist() == [True, False, False]


@given(st.text("0123456789.", min_size=1, max_size=64).filter(lambda u: u.strip()))
def test_new_uids_are_valid_keyed_and_steady(uid: str) -> None:
    made = new_uid(SECRET, uid)
    if uid.startswith("1.2.840.10008."):
        assert made == uid
        return
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", made)
    assert len(made) <= 64
    number = int(made[5:]).to_bytes(16, "big")
    assert (number[6] >> 4, number[8] >> 6) == (8, 2)  # RFC 9562: custom UUID
    assert made == new_uid(SECRET, f"{uid}\0") == new_uids(SECRET, [None, uid])[1]
    assert made != new_uid(OTHER, uid)


def test_uids_of_the_standard_stay_and_blank_ones_go() -> None:
    known = "1.2.840.10008.5.1.4.1.1.2"
    assert new_uids(SECRET, [known, "", " \0", None]) == [known, None, None, None]
    assert new_uid(SECRET, "1.2.840.100081.5") != "1.2.840.100081.5"
    with pytest.raises(InputError):
        new_uid(SECRET, "\0")


def test_values_never_change_between_versions() -> None:
    """Known answers: a change here would orphan every pseudonym in every warehouse."""
    assert SECRET.key_id == "9fe6c82609693e65"
    assert pseudonym(SECRET, "patient", "HOSP", "100000") == "ee9d21cdb04592385b57f5762bb5d0ce"
    assert offset_days(SECRET, "HOSP", "100000") == 56705
    assert NEWER.key_id == "9ba7b8daf9ec553b"
    assert pseudonym(NEWER, "patient", "HOSP", "100000") == "ee9d21cdb04592385b57f5762bb5d0ce"
    assert offset_days(NEWER, "HOSP", "100000") == 43005
    assert new_uid(SECRET, "1.2.3") == "2.25.289617294903420851115562218020421042197"

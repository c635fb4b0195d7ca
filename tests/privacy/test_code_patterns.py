"""What may stand where a code, a code's text or a place should."""

from __future__ import annotations

import csv

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.definitions.resources import resource
from lakehouse.privacy.rules.code_patterns import looks_like_code, looks_like_place, looks_like_text

CODES = """2345-7|LP7787-7|386661006|E11.9|U07.1|250.00|0W9G30Z|1049502|0093-1048-01|00093104801
0002-7597-01|99213|G0008|mg/dL|10*3/uL|mm[Hg]|{score}|207|113691|T-D3000|F-01780|RID5824|ADT^A01
LISINOPRIL 10MG|METFORMIN HCL 500 MG ORAL TABLET|CBC W/ DIFF|HH|Y|1.1.1.2|2.5.1|A|<=|N/A|O+|Q6H
ORIGINAL\\PRIMARY\\AXIAL\\CT_SOM5 SPI|X-ABC:12|1.2.840.10008.5.1.4.1.1.2|血糖|CrCl (24h)|12-345
""".replace("\n", "|").strip("|").split("|")  # fmt: skip

IDENTIFYING = """123-45-6789|123 45 6789|SSN 123-45-6789|555-123-4567|(555)123-4567|(555) 123-4567
555.123.4567|call 555 123 4567|555-1000|+1 555 123 4567|+442079460958|jane.doe@example.org|x@y.de
http://x.org/a|HTTPS://X|www.example.org|mailto:jane|tel:5551234|1950-01-31|born 1950-01-31
1/31/1950|01/31/50|195001311200|19500131120000|12345678901234567890
""".replace("\n", "|").strip("|").split("|")  # fmt: skip

NO_CODES = [
    "Patient fell at home and her daughter Mary called us",
    "a b c d e f g h i j",
    "x" * 65,
    "A\nB",
    "A\tB",
    "A\x00",
    "A\x85",
    "\\".join(["A" * 65, "B"]),
    "\\".join(["ABCDEF"] * 17),
]


@pytest.mark.parametrize("code", CODES)
def test_codes_stay(code: str) -> None:
    assert looks_like_code(pa.array([code])).to_pylist() == [True]


@pytest.mark.parametrize("text", IDENTIFYING)
def test_identifying_shapes_go_from_codes_and_from_texts(text: str) -> None:
    assert looks_like_code(pa.array([text])).to_pylist() == [False]
    assert looks_like_text(pa.array([text])).to_pylist() == [False]


@pytest.mark.parametrize("text", NO_CODES)
def test_what_cannot_be_a_code_goes(text: str) -> None:
    assert looks_like_code(pa.array([text])).to_pylist() == [False]


def test_an_ip_address_goes_from_texts_but_some_codes_look_like_one() -> None:
    found = pa.array(["10.20.30.40", "from 192.168.1.1", "v 1.2.3", "1.2.840.10008.1.2"])
    assert looks_like_text(found).to_pylist() == [False, False, True, True]
    assert looks_like_code(found).to_pylist() == [True] * 4


@given(
    st.sampled_from([t for t in IDENTIFYING if " " not in t and not t[0].isdigit()]),
    st.text("abcXYZ", max_size=9),
)
def test_identity_inside_a_text_is_found(shape: str, around: str) -> None:
    text = f"{around} {shape} {around}"
    assert looks_like_text(pa.array([text])).to_pylist() == [False]


def test_null_stays_null_and_nothing_stays_nothing() -> None:
    for shaped in (looks_like_code, looks_like_text, looks_like_place):
        assert shaped(pa.array([], pa.string())).to_pylist() == []
        assert shaped(pa.array([None], pa.string())).to_pylist() == [None]


def test_every_official_code_and_text_passes() -> None:
    path = resource("catalog/terminologies") / "icd10cm.csv"
    with path.open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert len(listed) > 74_000
    assert all(looks_like_code(pa.array([row["code"] for row in listed])).to_pylist())
    assert all(looks_like_text(pa.array([row["display"] for row in listed])).to_pylist())


@pytest.mark.parametrize(
    "place",
    ["MA", "ma", "USA", "US-MA", "840", "Ohio", " new york ", "Québec", "Bayern", "Germany"],
)
def test_places_stay(place: str) -> None:
    assert looks_like_place(pa.array([place])).to_pylist() == [True]


@pytest.mark.parametrize(
    "place", ["", "12 Main St", "Suffolk", "Boston", "02139", "MA 02139", "Jane", "US-MASS", "M A"]
)
def test_what_is_no_country_or_state_goes(place: str) -> None:
    assert looks_like_place(pa.array([place])).to_pylist() == [False]

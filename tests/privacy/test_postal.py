"""ZIP codes by census population, every prefix there is."""

from __future__ import annotations

import pytest

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.privacy.rules.postal import is_us, zip3, zip5

SMALL_2010 = {
    *("036", "059", "102", "202", "203", "204", "205", "369", "556", "692", "753", "772"),
    *("821", "823", "878", "879", "884", "893"),
}
"""The prefixes of 20,000 people or fewer in the 2010 and in the 2020 census."""

PEOPLE = {
    row["zip3"]: int(row["population"])
    for row in read_rows(resource("catalog/codes") / "zip3_population.csv")
}


@pytest.mark.parametrize("first", range(10))
def test_every_prefix(first: int) -> None:
    for prefix in (f"{first}{rest:02d}" for rest in range(100)):
        kept = PEOPLE.get(prefix, 0) > 20_000
        assert kept == (prefix in PEOPLE and prefix not in SMALL_2010)
        stored = prefix if kept else "000"
        for text in (f"{prefix}12", f"{prefix}12-3456", f"{prefix}123456", f" {prefix}12 "):
            assert zip3(text) == stored
        if first == 0:  # a spreadsheet took the zero away
            for text in (f"{prefix[1:]}12", f"{prefix[1:]}12-3456", f"{prefix[1:]}12.0"):
                assert zip3(text) == stored


def test_the_census_list_is_whole() -> None:
    assert {zip3 for zip3, people in PEOPLE.items() if people <= 20_000} == SMALL_2010 & set(PEOPLE)
    assert sum(PEOPLE.values()) > 308_000_000
    assert SMALL_2010 - set(PEOPLE) <= {"202", "204", "753", "772"}  # nobody lives there


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "021", "02", "2", "K1A 0B1", "SW1A 1AA", "0213a", "021390", "0213943"),
        *(
            "02139-43",
            "02139-43071",
            "02139 4307",
            "-2139",
            "1e4",
            "02139.5",
            "٠٢١٣٩",
            "０２１３９",
        ),
        "02139\n02140",
    ],
)
def test_what_is_no_zip_code_is_not_stored(text: str) -> None:
    assert zip3(text) is None
    assert zip5(text) is None


@pytest.mark.parametrize(
    ("country", "ours"),
    [
        *((None, True), ("", True), (" ", True), ("US", True), ("usa", True), ("840", True)),
        *((" United States ", True), ("PRI", True), ("CAN", False), ("DE", False)),
        *(("?", False), ("USSR", False)),
    ],
)
def test_countries_with_zip_codes(country: str | None, ours: bool) -> None:
    assert is_us(country) is ours

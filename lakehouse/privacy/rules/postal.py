"""US ZIP codes cut to three digits by census population.

The first three digits may stay where more than 20,000 people live in all ZIP codes that begin with
them; elsewhere they become 000 (45 CFR 164.514(b)(2)(i)(B)). The law does not mention codes of
other countries, so they are not stored.
"""

from __future__ import annotations

import re
from functools import cache

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource

MIN_PEOPLE = 20_000
"""A prefix stays where more people than this live."""

SMALL = "000"
"""Replaces a prefix where fewer people live."""

US_NAMES = frozenset(
    (
        *("US", "USA", "U.S.", "U.S.A.", "840", "UNITED STATES", "UNITED STATES OF AMERICA"),
        *("PR", "PRI", "630", "PUERTO RICO", "VI", "VIR", "850", "GU", "GUM", "316", "GUAM"),
        *("AS", "ASM", "016", "MP", "MNP", "580"),
    )
)
"""Names and codes of the United States and its territories, whose addresses have ZIP codes."""

_ZIP = re.compile(r"(?:(\d{5})(?:-?\d{4})?|(\d{4})(?:-\d{4})?)(?:\.0+)?", re.ASCII)


@cache
def populous_prefixes() -> frozenset[str]:
    """Return the three-digit prefixes that may stay, from ``catalog/codes/zip3_population.csv``.

    Examples:
        >>> "021" in populous_prefixes(), "036" in populous_prefixes()
        (True, False)
    """
    people = read_rows(resource("catalog/codes") / "zip3_population.csv")
    return frozenset(row["zip3"] for row in people if int(row["population"]) > MIN_PEOPLE)


def zip5(text: str) -> str | None:
    """Return the five digits of a US ZIP code, or None for any other text.

    Spreadsheets turn ``02139`` into the number 2139 (or 2139.0): four digits get their zero back.

    Examples:
        >>> zip5("02139-4307"), zip5("2139"), zip5("K1A 0B1"), zip5("021")
        ('02139', '02139', None, None)
    """
    if len(text) == 5 and text.isascii() and text.isdigit():  # the usual form needs no pattern
        return text
    match = _ZIP.fullmatch(text.strip())
    return (match[1] or "0" + match[2]) if match else None


def zip3(text: str) -> str | None:
    """Return the first three digits, ``000`` where few people live, or None for no ZIP code.

    Examples:
        >>> zip3("02139"), zip3("03601-0001"), zip3("SW1A 1AA")
        ('021', '000', None)
    """
    whole = zip5(text)
    if whole is None:
        return None
    return whole[:3] if whole[:3] in populous_prefixes() else SMALL


def is_us(country: str | None) -> bool:
    """Return whether addresses of a country have US ZIP codes; a blank country counts as the US.

    Examples:
        >>> is_us("usa"), is_us(None), is_us("CAN")
        (True, True, False)
    """
    return not country or not country.strip() or country.strip().upper() in US_NAMES

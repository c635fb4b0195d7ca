"""Public code systems, each with a regular expression for its codes."""

from __future__ import annotations

from functools import cache

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource


@cache
def public_systems() -> dict[str, str]:
    """Return the shape of codes by public system; ``hl7-*`` speaks for a family.

    Examples:
        >>> sorted(public_systems())[:3]
        ['atc', 'bcp47', 'cdcrec']
    """
    listed = read_rows(resource("catalog/codes") / "code_systems.csv")
    return {row["code_system"]: rf"^(?:{row['shape']})$" for row in listed}


def shape_of(system: str) -> str | None:
    """Return the shape of a system's codes, or None when the system is not a public one."""
    family, dash, number = system.partition("-")
    wide = f"{family}-*" if dash and number.isdigit() else ""
    return public_systems().get(system) or public_systems().get(wide)

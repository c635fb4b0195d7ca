"""The definitions of the synthetic hospital, read once from ``catalog/synth``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.definitions.toml_file import read_toml

Change = tuple[bool, float]
"""A change to a value: (True, 1.4) times 1.4; (False, -2.0) minus 2."""


@dataclass(frozen=True, slots=True)
class Analyte:
    """A quantity that a laboratory or a nurse measures."""

    key: str
    loinc: str
    text: str
    local: str
    unit: str
    female: float
    male: float
    between: float
    within: float
    range_female: tuple[float, float] | None
    range_male: tuple[float, float] | None
    critical: tuple[float | None, float | None]
    decimals: int
    floor: float
    ceiling: float
    other_unit: str
    factor: float


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of ``<name>.csv``."""
    return tuple(read_rows(resource("catalog/synth") / f"{name}.csv"))


@cache
def document(name: str) -> dict[str, Any]:
    """Return ``<name>.toml``."""
    return read_toml(resource("catalog/synth") / f"{name}.toml")


def change(text: str) -> Change:
    """Parse a change.

    Examples:
        >>> change("x1.4"), change("-2")
        ((True, 1.4), (False, -2.0))
    """
    return (True, float(text[1:])) if text.startswith("x") else (False, float(text))


@cache
def changes(name: str, kind: str) -> dict[str, dict[str, Change]]:
    """Return, for each entry of a document, its changes of a kind (``labs`` or ``vitals``)."""
    return {
        key: {what: change(text) for what, text in entry.get(kind, {}).items()}
        for key, entry in document(name).items()
    }


def _number(text: str) -> float | None:
    return float(text) if text else None


def _range(low: str, high: str) -> tuple[float, float] | None:
    return (float(low), float(high)) if low and high else None


@cache
def analytes() -> dict[str, Analyte]:
    """Return the laboratory's quantities by key."""
    return {
        r["key"]: Analyte(
            r["key"], r["loinc"], r["text"], r["local"], r["unit"],
            float(r["female"]), float(r["male"]), float(r["between"]), float(r["within"]),
            _range(r["low_f"], r["high_f"]), _range(r["low_m"], r["high_m"]),
            (_number(r["critical_low"]), _number(r["critical_high"])),
            int(r["decimals"]), float(r["floor"]), float(r["ceiling"]),
            r["si_unit"], float(r["si_factor"] or 1),
        )
        for r in table("analytes")
    }  # fmt: skip


@cache
def vitals() -> dict[str, Analyte]:
    """Return the vital signs by key."""
    return {
        r["key"]: Analyte(
            r["key"], r["loinc"], r["text"], r["local"], r["unit"],
            float(r["mean"] or 0), float(r["mean"] or 0),
            float(r["between"] or 0), float(r["within"] or 0),
            _range(r["low"], r["high"]), _range(r["low"], r["high"]), (None, None),
            int(r["decimals"]), float(r["floor"] or 0), float(r["ceiling"] or 0),
            r["other_unit"], 1.0,
        )
        for r in table("vitals")
    }  # fmt: skip


@cache
def keyed(name: str) -> dict[str, dict[str, str]]:
    """Return the rows of a table by their ``key``."""
    return {row["key"]: row for row in table(name)}


@cache
def conditions() -> dict[str, dict[str, Any]]:
    """Return chronic conditions, each after those that it depends on."""
    found = document("conditions")
    return dict(sorted(found.items(), key=lambda item: "needs" in item[1]))


def episodes() -> dict[str, dict[str, Any]]:
    """Return acute episodes and planned stays."""
    return document("episodes")

"""The confidentiality profile of PS3.15 table E.1-1: the action for a tag under some options."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.errors import UserError

RESOLVED_ACTIONS = {"X/Z": "Z", "X/D": "D", "Z/D": "D", "X/Z/D": "D", "X/Z/U*": "U"}
"""Actions that depend on the IOD of an object -> the one that is valid for all IODs."""

PRIVATE = "private"


@dataclass(frozen=True)
class Options:
    """The options of the profile; each keeps or cleans elements that the profile removes.

    Attributes:
        uids: Keep UIDs.
        device: Keep attributes of the device.
        institution: Keep attributes of the institution.
        patient_characteristics: Keep age, sex, size, weight and similar attributes.
        full_dates: Keep true dates.
        modified_dates: Shift dates by the patient's own offset, as in the tables.
        descriptors: Clean descriptions instead of removing them.
        structured_content: Clean reports' content instead of replacing it.
        graphics: Clean graphic annotations and overlays instead of removing them.
        safe_private: Keep private elements that are known, or declared, to be safe.

    Raises:
        UserError: Both ``full_dates`` and ``modified_dates`` are on.
    """

    uids: bool = False
    device: bool = False
    institution: bool = False
    patient_characteristics: bool = False
    full_dates: bool = False
    modified_dates: bool = True
    descriptors: bool = False
    structured_content: bool = False
    graphics: bool = False
    safe_private: bool = False

    def __post_init__(self) -> None:
        if self.full_dates and self.modified_dates:
            raise UserError(
                "Dates cannot be both kept and moved.", "Choose full dates or modified dates."
            )

    def active_options(self) -> list[str]:
        """Return the names of the options that are on, in the order of the table."""
        return [f.name for f in fields(self) if getattr(self, f.name)]


@cache
def _rows() -> dict[str, dict[str, str]]:
    return {r["tag"]: r for r in read_rows(resource("catalog/dicom") / "confidentiality.csv")}


@cache
def _patterns() -> tuple[str, ...]:
    return tuple(tag for tag in _rows() if "x" in tag)


@cache
def row_of(tag: int) -> dict[str, str] | None:
    """Return the row of the table for a tag, or None."""
    text = f"{tag:08X}"
    rows = _rows()
    if text in rows:
        return rows[text]
    if (tag >> 16) & 1:
        return rows[PRIVATE]
    for pattern in _patterns():
        if all(p in ("x", t) for p, t in zip(pattern, text, strict=True)):
            return rows[pattern]
    return None


@cache
def action(tag: int, options: Options) -> str | None:
    """Return the action for a tag: X, Z, D, U, K or C; None for a tag outside the table.

    An option that keeps takes precedence over one that cleans, and both over the profile.

    Examples:
        >>> action(0x00100010, Options()), action(0x00080020, Options())
        ('Z', 'C')
        >>> action(0x0020000D, Options(uids=True)), action(0x00080060, Options())
        ('K', None)
    """
    row = row_of(tag)
    if row is None:
        return None
    letters = {row[name] for name in options.active_options()}
    for letter in ("K", "C"):
        if letter in letters:
            return letter
    return RESOLVED_ACTIONS.get(row["basic"], row["basic"])

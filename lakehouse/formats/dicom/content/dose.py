"""Dose reports (PS3.16 TID 10001, 10011, 10021) -> radiation events.

A container of the report is one irradiation or one accumulated total; its values stand anywhere
below it, each named by a code of the DICOM controlled terminology (DCM).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from lakehouse.batch import BIRTH_DATE
from lakehouse.formats.dicom.content.items import Row, SequenceItem, common
from lakehouse.identifiers import qualified_number

CONTAINERS: Mapping[str, tuple[str, str]] = {
    "113819": ("event", "ct"),
    "113811": ("total", "ct"),
    "113706": ("event", "projection"),
    "113702": ("total", "projection"),
    "113502": ("event", "radiopharmaceutical"),
}
"""Concept of a container -> scope and kind of the row."""

NUMBERS: Mapping[str, tuple[str, str]] = {
    "113830": ("mean_ctdivol_mgy", "mGy"),
    "113838": ("dlp_mgycm", "mGy.cm"),
    "113813": ("dlp_mgycm", "mGy.cm"),
    "113930": ("ssde_mgy", "mGy"),
    "122130": ("dose_area_product_gym2", "Gy.m2"),
    "113722": ("dose_area_product_gym2", "Gy.m2"),
    "113738": ("reference_point_dose_gy", "Gy"),
    "113725": ("reference_point_dose_gy", "Gy"),
    "111631": ("average_glandular_dose_mgy", "mGy"),
    "111637": ("average_glandular_dose_mgy", "mGy"),
    "113730": ("fluoro_time_s", "s"),
    "113507": ("administered_activity_mbq", "MBq"),
    "113733": ("kvp", "kV"),
    "113734": ("tube_current_ma", "mA"),
    "113824": ("exposure_time_ms", "ms"),
    "113825": ("scanning_length_mm", "mm"),
    "113828": ("pitch", ""),
}
"""Concept of a number -> column and its unit."""

FACTORS: Mapping[tuple[str, str], float] = {
    ("Gy", "mGy"): 1e3,
    ("dGy", "mGy"): 1e2,
    ("cGy", "mGy"): 10,
    ("uGy", "mGy"): 1e-3,
    ("mGy", "Gy"): 1e-3,
    ("Gy.cm", "mGy.cm"): 1e3,
    ("Gy.cm2", "Gy.m2"): 1e-4,
    ("dGy.cm2", "Gy.m2"): 1e-5,
    ("cGy.cm2", "Gy.m2"): 1e-6,
    ("mGy.cm2", "Gy.m2"): 1e-7,
    ("uGy.m2", "Gy.m2"): 1e-6,
    ("mGy.m2", "Gy.m2"): 1e-3,
    ("Bq", "MBq"): 1e-6,
    ("kBq", "MBq"): 1e-3,
    ("GBq", "MBq"): 1e3,
    ("V", "kV"): 1e-3,
    ("uA", "mA"): 1e-3,
    ("A", "mA"): 1e3,
    ("s", "ms"): 1e3,
    ("msec", "ms"): 1,
    ("sec", "s"): 1,
    ("sec", "ms"): 1e3,
    ("msec", "s"): 1e-3,
    ("min", "s"): 60,
    ("ms", "s"): 1e-3,
    ("cm", "mm"): 10,
    ("m", "mm"): 1e3,
}
"""(unit as sent, unit of the column) -> factor."""

_EVENTS = "113812"
_MAMMOGRAPHY = ("111631", "111637")  # average glandular dose; accumulated


_SPELLINGS = str.maketrans(
    {"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u", "\N{SUPERSCRIPT TWO}": "2"}
    | dict.fromkeys(".*^\N{MIDDLE DOT} -_")
)


def _bare(unit: str) -> str:
    """Return a unit without what its spellings differ by: Gy.m2, Gym2, Gy*m^2."""
    return unit.translate(_SPELLINGS)


@cache
def _factors() -> dict[tuple[str, str], float]:
    return {(_bare(unit), wanted): factor for (unit, wanted), factor in FACTORS.items()}


def convert_unit(value: float | None, unit: str | None, wanted: str) -> float | None:
    """Return a value in the unit of its column; null when the unit cannot be converted.

    Examples:
        >>> convert_unit(2.5, "dGy.cm2", "Gy.m2")
        2.5e-05
        >>> convert_unit(2.5, "dGycm2", "Gy.m2"), convert_unit(7, "\u00b5Gy\u00b7m\u00b2", "Gy.m2")
        (2.5e-05, 7e-06)
        >>> convert_unit(1.0, "furlong", "mm") is None
        True
    """
    bare = _bare(unit or "")
    if value is None or not wanted or bare == _bare(wanted):
        return value
    factor = _factors().get((bare, wanted))
    # six digits more than any dose is measured to, so that 10 * 1e-5 reads 0.0001
    return None if factor is None else float(f"{value * factor:.12g}")


def events(root: SequenceItem, items: list[Row]) -> list[Row]:
    """Return one row for each irradiation and each total of a report."""
    found: list[Row] = []
    for index, item in enumerate(items):
        if item["concept_system"] == "dcm" and item["concept_code"] in CONTAINERS:
            scope, kind = CONTAINERS[item["concept_code"]]
            below = _below(items, index)
            if scope == "total" and not any(r["value_type"] == "NUM" for r in below):
                continue
            found.append(_event(root, items[0], scope, kind, below))
    return found


def _below(items: list[Row], index: int) -> list[Row]:
    """Return the items under one, which follow it as long as they are deeper."""
    depth = items[index]["depth"]
    end = index + 1
    while end < len(items) and items[end]["depth"] > depth:
        end += 1
    return items[index + 1 : end]


def _event(root: SequenceItem, title: Row, scope: str, kind: str, below: list[Row]) -> Row:
    row = common(root, "radiation_events")
    row |= {"scope": scope, "kind": kind, "stated_at": title["stated_at"]}
    row[BIRTH_DATE] = title.get(BIRTH_DATE)
    for item in below:
        _fill(row, item["concept_code"], item)
    if any(item["concept_code"] in _MAMMOGRAPHY for item in below):
        row["kind"] = "mammography"
    return row


def _fill(row: Row, code: str | None, item: Row) -> None:
    """Put one content item into its column; the first of several stays."""

    def put(column: str, value: object) -> None:
        if row.get(column) is None:
            row[column] = value

    if code is None:
        return
    if code in NUMBERS and item["value_type"] == "NUM":
        column, unit = NUMBERS[code]
        put(column, convert_unit(item.get("value_number"), item.get("unit"), unit))
    elif code == _EVENTS and item.get("value_number") is not None:
        put("n_events", int(item["value_number"]))
    elif code in ("113769", "113503"):
        put("event_uid", item.get("value_uid"))
    elif code in ("111526", "123003"):
        put("started_at", item.get("value_at"))
    elif code == "125203":
        name = item.get("value_text")
        put("protocol", name)
        put("protocol_id", qualified_number(None, name))
    elif code == "123014":
        put("target_region_code", item.get("value_code"))
        put("target_region_system", item.get("value_system"))
    elif code in ("113820", "113764"):
        put("acquisition_type", item.get("value_code"))
    elif code == "113835":
        put("phantom_code", item.get("value_code"))

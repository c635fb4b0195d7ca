"""Writes the dose report of a CT study (PS3.16 TID 10011), one event for each exposed series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"

Values = dict[int, tuple[str, Any]]
Event = tuple[str, str, float, float, float]
"""Event UID, protocol, CTDIvol in mGy, DLP in mGy.cm, tube voltage in kV."""

_RELATION, _TYPE, _NAME, _CONTENT = 0x0040A010, 0x0040A040, 0x0040A043, 0x0040A730


def _code(value: str, meaning: str, scheme: str = "DCM") -> list[Values]:
    return [{0x00080100: ("SH", value), 0x00080102: ("SH", scheme), 0x00080104: ("LO", meaning)}]


def _item(kind: str, code: str, meaning: str, **more: Any) -> Values:
    item: Values = {
        _RELATION: ("CS", "CONTAINS"),
        _TYPE: ("CS", kind),
        _NAME: ("SQ", _code(code, meaning)),
    }
    if kind == "CONTAINER":
        item |= {0x0040A050: ("CS", "SEPARATE"), _CONTENT: ("SQ", more["items"])}
    elif kind == "NUM":
        measured = {
            0x004008EA: ("SQ", _code(more["unit"], more["unit"], "UCUM")),
            0x0040A30A: ("DS", f"{more['value']:.6g}"),
        }
        item[0x0040A300] = ("SQ", [measured])
    elif kind == "CODE":
        item[0x0040A168] = ("SQ", more["value"])
    elif kind == "UIDREF":
        item[0x0040A124] = ("UI", more["value"])
    else:
        item[0x0040A160] = ("UT", more["value"])
    return item


def content(events: Sequence[Event], region: tuple[str, str]) -> Values:
    """Return the content tree of a report.

    Args:
        events: What was irradiated.
        region: SNOMED RT code and name of the target region.
    """
    total = _item(
        "CONTAINER", "113811", "CT Accumulated Dose Data",
        items=[
            _item("NUM", "113812", "Total Number of Irradiation Events",
                  value=float(len(events)), unit="{events}"),
            _item("NUM", "113813", "CT Dose Length Product Total",
                  value=sum(e[3] for e in events), unit="mGy.cm"),
        ],
    )  # fmt: skip
    acquired = [
        _item(
            "CONTAINER", "113819", "CT Acquisition",
            items=[
                _item("TEXT", "125203", "Acquisition Protocol", value=protocol),
                _item("CODE", "123014", "Target Region", value=_code(*region, "SRT")),
                _item("CODE", "113820", "CT Acquisition Type",
                      value=_code("P5-08001", "Spiral Acquisition", "SRT")),
                _item("UIDREF", "113769", "Irradiation Event UID", value=uid),
                _item("CONTAINER", "113829", "CT Dose", items=[
                    _item("NUM", "113830", "Mean CTDIvol", value=index, unit="mGy"),
                    _item("CODE", "113835", "CTDIw Phantom Type",
                          value=_code("113691", "IEC Body Dosimetry Phantom")),
                    _item("NUM", "113838", "DLP", value=product, unit="mGy.cm"),
                ]),
                _item("NUM", "113733", "KVP", value=voltage, unit="kV"),
            ],
        )
        for uid, protocol, index, product, voltage in events
    ]  # fmt: skip
    return {
        _TYPE: ("CS", "CONTAINER"),
        _NAME: ("SQ", _code("113701", "X-Ray Radiation Dose Report")),
        0x0040A050: ("CS", "SEPARATE"),
        0x0040A491: ("CS", "COMPLETE"),
        0x0040A493: ("CS", "UNVERIFIED"),
        _CONTENT: ("SQ", [total, *acquired]),
    }

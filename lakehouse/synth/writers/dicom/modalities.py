"""The acquisition attributes of images of each modality."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from lakehouse.synth.chance import between

SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.3.1",
}
"""Modalities with objects; the others have metadata only."""

MAKES = {
    "CT": ("ACME Imaging", "Spiral 64"),
    "MR": ("ACME Imaging", "Resonance 1.5"),
    "CR": ("Northwind Medical", "Plate 3"),
    "DX": ("Northwind Medical", "Mobile DX"),
    "MG": ("Northwind Medical", "Mammo 2D"),
    "US": ("Contoso Ultrasound", "Sono 9"),
    "PT": ("ACME Imaging", "Fusion PET"),
    "XA": ("Contoso Ultrasound", "Angio 2"),
}

VIEWS = {"CR": ("PA", "LL", "LLO"), "DX": ("AP", "AP", "AP"), "MG": ("CC", "CC", "MLO", "MLO")}
SERIES = {
    "CT": ("Topogram", "Axial 5.0 mm soft tissue", "Axial 1.0 mm lung kernel"),
    "MR": ("Localizer", "T1 sagittal", "T2 axial FLAIR", "DWI b1000", "T2 coronal"),
    "US": ("Cine",),
}
WEIGHTINGS = ((20.0, 5.0), (550.0, 12.0), (9000.0, 120.0), (5200.0, 86.0), (4100.0, 98.0))
"""Repetition and echo times of the series of an MR study, ms."""

Values = dict[int, tuple[str, Any]]


def description(modality: str, number: int, protocol: str) -> str:
    """Return the description of a series."""
    known = SERIES.get(modality)
    return protocol if known is None else known[number % len(known)]


def acquisition(
    modality: str, spec: Mapping[str, str], number: int, contrast: bool, rng: Random
) -> Values:
    """Return the acquisition's attributes of one series.

    Args:
        modality: CT, MR, CR, DX, MG or US.
        spec: Row of ``catalog/synth/imaging.csv``.
        number: Number of the series in the study, from 0.
        contrast: Whether a contrast agent was given.
        rng: Where chance comes from.
    """
    found: Values = {0x00180015: ("CS", spec["body_part"])}
    if spec["laterality"]:
        found[0x00200060] = ("CS", spec["laterality"])
    if contrast and number > 0:
        found[0x00180010] = ("LO", "IODINATED" if modality == "CT" else "GADOLINIUM")
        found[0x00181041] = ("DS", f"{between(rng, 60, 110) if modality == 'CT' else 12:.0f}")
    if modality == "CT":
        found |= _tomography(number, rng)
    elif modality == "MR":
        repetition, echo = WEIGHTINGS[number % len(WEIGHTINGS)]
        found |= {
            0x00180020: ("CS", ["SE", "GR", "EP"][number % 3]),
            0x00180023: ("CS", "2D"),
            0x00180050: ("DS", "5.0" if rng.random() < 0.9 else "4.0"),
            0x00180080: ("DS", f"{repetition:.1f}"),
            0x00180081: ("DS", f"{echo:.1f}"),
            0x00180087: ("DS", "1.5"),
            0x00180091: ("IS", "1"),
            0x00181314: ("DS", "90"),
            0x00280030: ("DS", ["0.9", "0.9"]),
        }
    elif modality == "US":
        found |= {0x00280008: ("IS", str(rng.randrange(20, 60))), 0x00280301: ("CS", "YES")}
    else:
        found |= {
            0x00180060: ("DS", f"{rng.choice((60, 70, 85, 110, 125))}"),
            0x00181152: ("IS", str(rng.randrange(2, 40))),
            0x00181411: ("DS", f"{between(rng, 180, 420):.0f}"),
            0x00185101: ("CS", VIEWS[modality][number % len(VIEWS[modality])]),
            0x00181164: ("DS", ["0.143", "0.143"]),
            0x00280301: ("CS", "NO"),
        }
    return found


def _tomography(number: int, rng: Random) -> Values:
    thickness = ("0.6", "5.0", "1.0")[number % 3]
    if number % 3 == 1 and rng.random() < 0.12:
        thickness = "3.0"  # a technician's choice: what protocol_consistency is there to find
    return {
        0x00180050: ("DS", thickness),
        0x00180060: ("DS", "120" if rng.random() < 0.85 else "100"),
        0x00181100: ("DS", "360"),
        0x00181120: ("DS", "0"),
        0x00181150: ("IS", "500"),
        0x00181151: ("IS", str(rng.randrange(90, 380))),
        0x00181152: ("IS", str(rng.randrange(45, 190))),
        0x00181210: ("SH", "B31f" if number % 3 == 1 else "B60f"),
        0x00185100: ("CS", "HFS"),
        0x00189311: ("FD", 0.9),
        0x00189345: ("FD", round(between(rng, 3.0, 14.0), 2)),
        0x00280030: ("DS", ["0.703", "0.703"]),
    }

"""Private elements that are known, or declared by the object, to identify nobody."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.export.elements import fits, values_of
from lakehouse.formats.dicom.vocabulary.devices import is_product
from lakehouse.formats.dicom.vocabulary.terms import is_term

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

_NUMBERS = frozenset(["DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "UV", "SV", "CS"])
"""Data types of private values that are kept: none holds a name or a sentence."""


@cache
def _listed() -> frozenset[tuple[str, int, int]]:
    rows = read_rows(resource("catalog/dicom") / "safe_private.csv")
    return frozenset((r["creator"], int(r["group"], 16), int(r["element"], 16)) for r in rows)


def _is_number(element: DataElement) -> bool:
    """Return whether an element holds numbers, or terms of the standard, and nothing else."""
    if str(element.VR) not in _NUMBERS or not fits(element):
        return False
    return element.VR != "CS" or all(is_term(str(value)) for value in values_of(element))


class SafePrivate:
    """Judges the private elements of one level of an object.

    Safe is what PS3.15 table E.3.10-1 lists (``catalog/dicom/safe_private.csv``), and what the
    object's Private Data Element Characteristics (0008,0300) declare to be safe; of both only
    numbers and codes.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._creators: dict[tuple[int, int], str] = {}
        self._declared: set[tuple[int, str]] = set()
        for tag in sorted(dataset.keys()):
            if tag.is_private_creator and is_product(str(dataset[tag].value)):
                self._creators[tag.group, tag.element] = str(dataset[tag].value)
        for item in dataset.get("PrivateDataElementCharacteristicsSequence", None) or []:
            if item.get("BlockIdentifyingInformationStatus", "") == "SAFE":
                group = item.get("PrivateGroupReference")
                self._declared.add((group, str(item.get("PrivateCreatorReference", ""))))
        self._dataset = dataset

    def keeps(self, element: DataElement) -> bool:
        """Return whether an element stays: a safe one, or the creator of one."""
        tag = element.tag
        if tag.is_private_creator:
            return any(
                t.group == tag.group and t.element >> 8 == tag.element and self._safe(t)
                for t in sorted(self._dataset.keys())
            )
        return self._safe(tag)

    def _safe(self, tag: object) -> bool:
        group, number = tag.group, tag.element  # type: ignore[attr-defined]
        creator = self._creators.get((group, number >> 8))
        if creator is None or not _is_number(self._dataset[tag]):
            return False
        return (creator, group, number & 0xFF) in _listed() or (group, creator) in self._declared

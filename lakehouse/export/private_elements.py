"""Private elements that the standard lists, or the object declares, as safe to keep."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.export.elements import matches_type, values_of
from lakehouse.formats.dicom.vocabulary.devices import is_product
from lakehouse.formats.dicom.vocabulary.terms import is_term

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

_NUMBERS = frozenset(["DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "UV", "SV", "CS"])
"""Value representations of private elements to keep: none holds a name or a sentence."""


@cache
def _standard_safe_elements() -> frozenset[tuple[str, int, int]]:
    rows = read_rows(resource("catalog/dicom") / "safe_private.csv")
    return frozenset((r["creator"], int(r["group"], 16), int(r["element"], 16)) for r in rows)


def _is_number(element: DataElement) -> bool:
    """Return whether an element holds numbers, or terms of the standard, and nothing else."""
    if str(element.VR) not in _NUMBERS or not matches_type(element):
        return False
    return element.VR != "CS" or all(is_term(str(value)) for value in values_of(element))


class SafePrivate:
    """The safe private elements of one level of an object.

    Safe are the elements of PS3.15 table E.3.10-1 (``catalog/dicom/safe_private.csv``), and those
    that the object's Private Data Element Characteristics (0008,0300) declare; of both only numbers
    and codes.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._creators: dict[tuple[int, int], str] = {}
        self._declared_safe: set[tuple[int, str]] = set()
        for tag in sorted(dataset.keys()):
            if tag.is_private_creator and is_product(str(dataset[tag].value)):
                self._creators[tag.group, tag.element] = str(dataset[tag].value)
        for item in dataset.get("PrivateDataElementCharacteristicsSequence", None) or []:
            if item.get("BlockIdentifyingInformationStatus", "") == "SAFE":
                group = item.get("PrivateGroupReference")
                self._declared_safe.add((group, str(item.get("PrivateCreatorReference", ""))))
        self._dataset = dataset

    def keeps(self, element: DataElement) -> bool:
        """Return whether an element is safe, or the private creator of a safe one."""
        tag = element.tag
        if tag.is_private_creator:
            return any(
                t.group == tag.group and t.element >> 8 == tag.element and self._is_safe(t)
                for t in sorted(self._dataset.keys())
            )
        return self._is_safe(tag)

    def _is_safe(self, tag: object) -> bool:
        group, number = tag.group, tag.element  # type: ignore[attr-defined]
        creator = self._creators.get((group, number >> 8))
        if creator is None or not _is_number(self._dataset[tag]):
            return False
        return (creator, group, number & 0xFF) in _standard_safe_elements() or (
            group,
            creator,
        ) in self._declared_safe

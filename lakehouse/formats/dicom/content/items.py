"""Sequence items read by keyword, for reports, dose reports and radiotherapy objects alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from lakehouse.batch import BIRTH_DATE
from lakehouse.definitions.tables import load_tables
from lakehouse.formats.binding.codings import LOCAL
from lakehouse.formats.binding.instants import instant
from lakehouse.formats.dicom.encoding import values
from lakehouse.formats.dicom.mapping import PATIENT
from lakehouse.formats.dicom.record import Item, Record
from lakehouse.formats.dicom.vocabulary.concepts import (
    has_own_texts,
    is_public,
    meaning,
    system_of_scheme,
)
from lakehouse.formats.dicom.vocabulary.dictionary import (
    dictionary_vr,
    keyword_tag,
    tag_name,
)
from lakehouse.formats.dicom.vocabulary.safe_values import is_allowed, value_rule
from lakehouse.identifiers import qualified_number

T = TypeVar("T")
Row = dict[str, Any]


COMMON = """PatientID IssuerOfPatientID PatientBirthDate AccessionNumber StudyInstanceUID
    SeriesInstanceUID SOPInstanceUID SOPClassUID Manufacturer ManufacturerModelName
    DeviceSerialNumber StationName ContentDate ContentTime StudyDate StudyTime
    FrameOfReferenceUID ApprovalStatus TimezoneOffsetFromUTC""".split()  # noqa: SIM905
"""Keywords that ``common`` and ``moment`` read, of every object."""


@cache
def tag(keyword: str) -> int:
    """Return the tag of a keyword."""
    return keyword_tag(keyword)


class SequenceItem:
    """One item of a tree, read by keyword; what cannot be read is noted on the record.

    Args:
        record: The object.
        item: Elements of the item; the record's own for the root.
    """

    __slots__ = ("item", "record")

    def __init__(self, record: Record, item: Item) -> None:
        self.record = record
        self.item = item

    def _read(self, keyword: str, convert: Callable[..., T | None], *more: Any) -> T | None:
        element = self.item.get(tag(keyword))
        if element is None:
            return None
        try:
            return convert(*element, *more)
        except ValueError:
            self.record.warnings.append(
                (
                    "dicom.value",
                    "A value is not what its data type promises; the column is null.",
                    tag_name(tag(keyword)),
                )
            )
            return None

    def text(self, keyword: str) -> str | None:
        """Return the first value as text; None when it could not be what it ought to be."""
        found = self._read(keyword, values.text)
        rule = value_rule(tag(keyword), dictionary_vr(tag(keyword)).decode())
        return found if found is None or is_allowed(rule, found) else None

    def number(self, keyword: str, part: int = 0) -> float | None:
        """Return one value as a number."""
        return self._read(keyword, values.number, part)

    def integer(self, keyword: str) -> int | None:
        """Return the first value as a 32-bit whole number."""
        found = self._read(keyword, values.integer)
        return found if found is not None and -(1 << 31) <= found < 1 << 31 else None

    def id(self, keyword: str) -> str | None:
        """Return a bare identifier in raw form."""
        found = self.text(keyword)
        return qualified_number(None, found)

    def days(self, keyword: str) -> int | None:
        """Return a date as days since 1970."""
        return self._read(keyword, _days)

    def sequence(self, keyword: str) -> Iterator[SequenceItem]:
        """Yield the items of a sequence."""
        element = self.item.get(tag(keyword))
        if element is not None:
            for item in self.record.sequence_items(element):
                yield SequenceItem(self.record, item)

    def first(self, keyword: str) -> SequenceItem:
        """Return the first item of a sequence; an empty one where there is none."""
        return next(self.sequence(keyword), SequenceItem(self.record, {}))

    def code(self, keyword: str) -> tuple[str | None, str | None, str | None]:
        """Return code, system and text of the first code of a sequence; of a local one no code."""
        item = self.first(keyword)
        code = item.text("CodeValue") or item.text("LongCodeValue") or item.text("URNCodeValue")
        designator = item.text("CodingSchemeDesignator")
        if code is None:
            return None, None, None
        if not is_public(designator or "", code):
            return None, LOCAL, None
        system = system_of_scheme(designator or "")
        ours = meaning(designator or "", code)
        if ours is not None or has_own_texts(designator or ""):
            return code, system, ours
        return code, system, item.text("CodeMeaning")

    def moment(self, date: str, time: str | None = None) -> int | None:
        """Return microseconds since 1970 UTC of a DT attribute, or of a DA and a TM one."""
        stamp = self.text(date)
        if stamp is None:
            return None
        east: int | None = None
        try:
            if time is None:
                local, east = values.datetime(stamp)
            else:
                local = values.moment(stamp, self.text(time))
        except ValueError:
            self.record.warnings.append(
                ("dicom.value", "A time cannot be read; the column is null.", tag_name(tag(date)))
            )
            return None
        if east is None:
            stated = self.record.text(tag("TimezoneOffsetFromUTC"))
            east = values.offset(stated) if stated else None
        return instant(local, east, self.record.source.time_zone)


def _days(vr: bytes, value: values.Value) -> int | None:
    stated = values.text(vr, value)
    return None if stated is None else values.day(stated)


def common(root: SequenceItem, table: str) -> Row:
    """Return what every row of an object's tree carries, as far as the table has a column."""
    number, issuer = root.text(PATIENT["id"]), root.text(PATIENT["issuer"])
    row: Row = {
        "record_id": root.record.record_id,
        "patient_id": qualified_number(issuer or root.record.source.authority, number),
        "accession_id": root.id("AccessionNumber"),
        "study_uid": root.text("StudyInstanceUID"),
        "series_uid": root.text("SeriesInstanceUID"),
        "instance_uid": root.text("SOPInstanceUID"),
        "device_id": root.id("DeviceSerialNumber") or root.id("StationName"),
        "manufacturer": root.text("Manufacturer"),
        "model": root.text("ManufacturerModelName"),
        "approval_status": root.text("ApprovalStatus"),
        "frame_of_reference_uid": root.text("FrameOfReferenceUID"),
    }
    columns = load_tables()[table].columns
    row = {name: value for name, value in row.items() if name in columns}
    if "age_years" in columns:
        row[BIRTH_DATE] = root.days("PatientBirthDate")
    return row

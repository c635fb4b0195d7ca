"""Every row of PS3.15 Table E.1-1, at every depth, under every option, against a reader of its own.

The oracle below reads the published table and judges what is left of each element; it shares
nothing with the walker but the three functions that make pseudonyms, offsets and UIDs.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from lakehouse.definitions.resources import resource
from lakehouse.export import ObjectDeidentifier, Options
from lakehouse.privacy.identity.pseudonyms import new_uid, offset_days
from lakehouse.privacy.keys.secret import Secret

COLUMNS = {
    "uids": "rtnUIDsOpt",
    "device": "rtnDevIdOpt",
    "institution": "rtnInstIdOpt",
    "patient_characteristics": "rtnPatCharsOpt",
    "full_dates": "rtnLongFullDatesOpt",
    "modified_dates": "rtnLongModifDatesOpt",
    "descriptors": "cleanDescOpt",
    "structured_content": "cleanStructContOpt",
    "graphics": "cleanGraphOpt",
    "safe_private": "rtnSafePrivOpt",
}
SETS: list[tuple[str, ...]] = [
    (),
    *((name,) for name in COLUMNS),
    tuple(n for n in COLUMNS if n != "full_dates"),
    tuple(n for n in COLUMNS if n != "modified_dates"),
]
# Sequences that the table does not name, hence kept, and one that it names and that is kept.
SHARED, MEASURES, GEOMETRY, FRAMES = 0x52009229, 0x00289110, 0x00209116, 0x52009230
REFERENCED_IMAGES = 0x00081140
TIME_ZONE = 0x00080201
NOTHING_TO_CLEAN = {
    "Certified Timestamp", "Frame Origin Timestamp",  # bytes, as the next two
    "Device Setting Description", "Maker Note", "Curve Data",  # the last one retired
    "Private Attributes",  # the one below is in no list of safe ones
}  # fmt: skip
"""Rows that an option would clean, where nothing is known to be harmless: treated as without it.
So are the titles of application entities, of which no word is."""

CLEANED = {"CS", "LO", "LT", "SH", "ST", "UC", "UT"}
TEXT = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}


@pytest.fixture(scope="module")
def table(shared_data: Path) -> list[dict[str, str]]:
    """The published table."""
    name = "confidentiality_profile_attributes.json"
    path = shared_data.parent / "reference" / "dicom" / "standard" / name
    if not path.is_file():
        pytest.skip("the reference tables are not here")
    return json.loads(path.read_text())


def tag_of(row: dict[str, str]) -> int:
    """Return a tag that a row speaks of."""
    identity = row["id"].lower()
    if "odd" in identity:
        return 0x00091001
    return int(identity.replace("50xxxxxx", "50003000").replace("x", "0"), 16)


def vr_of(tag: int) -> str:
    if tag >> 16 == 9:
        return "LO"
    if tag >> 16 == 0:
        return "UI"
    if tag >> 24 in (0x50, 0x60) and tag & 0xFFFF == 0x3000:
        return "OW"
    return pydicom.datadict.dictionary_VR(tag).split(" or ")[0]


def value_of(tag: int, vr: str) -> Any:
    """Return a telling value."""
    if vr == "SQ":
        item = Dataset()
        item.PatientName, item.ReferencedSOPInstanceUID = "CANARY^Inner", f"1.2.3.{tag}"
        return [item]
    if tag == TIME_ZONE:
        return "+0100"
    if tag == 0x00100030:  # fits the age and the day of the study below
        return "19790101"
    if vr == "UR":
        return f"urn:CANARY:{tag}"
    if vr in TEXT:
        return f"CHEST CANARY{tag if vr not in ('SH', 'CS', 'AE') else tag % 1000}"
    plain: dict[str, Any] = {"DA": "20240229", "TM": "101112", "DT": "20240229101112", "AS": "045Y"}
    plain |= {"UI": f"1.2.3.{tag}", "DS": "7.5", "IS": "7", "US": 7, "UN": b"CANARY"}
    return plain.get(vr, b"CANARY")


def fill(dataset: Dataset, rows: list[dict[str, str]]) -> None:
    """Put one element for each row into a level."""
    for row in rows:
        tag = tag_of(row)
        if tag != REFERENCED_IMAGES:
            dataset.add(DataElement(tag, vr_of(tag), value_of(tag, vr_of(tag))))
    dataset.add(DataElement(0x00090010, "LO", "CANARY CREATOR"))


def levels(dataset: Dataset) -> dict[str, Dataset]:
    """Return the levels that are filled and judged."""
    return {
        "top": dataset,
        "once": dataset[FRAMES].value[0],
        "three deep": dataset[SHARED].value[0][MEASURES].value[0][GEOMETRY].value[0],
        "in a kept sequence": dataset[REFERENCED_IMAGES].value[0],
    }


def specimen(rows: list[dict[str, str]]) -> Dataset:
    dataset, once, outer, middle, inner, kept = (Dataset() for _ in range(6))
    dataset.add(DataElement(FRAMES, "SQ", [once]))
    dataset.add(DataElement(SHARED, "SQ", [outer]))
    outer.add(DataElement(MEASURES, "SQ", [middle]))
    middle.add(DataElement(GEOMETRY, "SQ", [inner]))
    dataset.add(DataElement(REFERENCED_IMAGES, "SQ", [kept]))
    for level in (dataset, once, inner, kept):
        fill(level, rows)
    return dataset


def letters(row: dict[str, str], chosen: tuple[str, ...]) -> set[str]:
    """Return the actions that the table allows for a row."""
    stated = {row[COLUMNS[name]] for name in chosen if COLUMNS[name] in row}
    if "K" in stated:
        return {"K"}
    if "C" in stated and not (row["name"] in NOTHING_TO_CLEAN or vr_of(tag_of(row)) == "AE"):
        return {"C"}
    return set(row["basicProfile"].replace("*", "").split("/"))


def holds_canary(element: DataElement) -> bool:
    value = element.value
    if element.VR == "SQ":
        return any(holds_canary(e) for item in value for e in item)
    return b"CANARY" in value if isinstance(value, bytes) else "CANARY" in str(value)


class Judge:
    """Says what happened to an element, from its value before and after."""

    def __init__(self, secret: Secret, days: int, chosen: tuple[str, ...]) -> None:
        self.secret, self.days, self.chosen = secret, days, chosen

    def moved(self, text: str) -> str:
        day = dt.datetime.strptime(text[:8], "%Y%m%d").date() + dt.timedelta(days=self.days)
        return day.strftime("%Y%m%d") + text[8:]

    def inner_is_clean(self, element: DataElement) -> bool:
        """Return whether all inside a sequence that stays was treated by the table as well."""
        for item in element.value:
            old = f"1.2.3.{int(element.tag)}"
            wanted = old if "uids" in self.chosen else new_uid(self.secret, old)
            if item.get("ReferencedSOPInstanceUID", wanted) != wanted or holds_canary(element):
                return False
        return True

    def allows(self, letter: str, tag: int, vr: str, after: DataElement | None) -> bool:
        """Return whether an element that is now so was treated as a letter asks."""
        before = value_of(tag, vr)
        if letter == "X" or after is None:
            return after is None and letter == "X"
        empty = after.value in (None, "", b"") or (vr == "SQ" and len(after.value) == 0)
        changed = vr == "SQ" or str(after.value) != str(before)
        if letter == "Z":
            return empty or (changed and not holds_canary(after))
        if letter == "D":
            return not empty and changed and not holds_canary(after)
        if letter == "U":
            if vr == "SQ":
                return self.inner_is_clean(after)
            return after.value == new_uid(self.secret, before)
        if letter == "K":
            return self.inner_is_clean(after) if vr == "SQ" else not changed
        assert letter == "C"
        if vr == "SQ":
            return self.inner_is_clean(after)
        if vr in ("DA", "DT"):
            return str(after.value) == self.moved(before)
        if vr == "TM" or tag == TIME_ZONE:
            return not changed
        if vr == "OW":
            return after.value == bytes(len(before))
        return vr in CLEANED and after.value == "CHEST"


def test_ours_is_the_published_table(table: list[dict[str, str]]) -> None:
    path = resource("catalog/dicom") / "confidentiality.csv"
    lines = [x for x in path.read_text().splitlines() if not x.startswith("#")]
    ours = {r["tag"].lower(): r for r in csv.DictReader(lines)}
    assert len(ours) == len(table) == 621
    for row in table:
        mine = ours["private" if "odd" in row["id"].lower() else row["id"].lower()]
        assert mine["basic"] == row["basicProfile"]
        assert {n: mine[n] for n in COLUMNS} == {n: row.get(c, "") for n, c in COLUMNS.items()}


@pytest.mark.parametrize("chosen", SETS, ids=lambda s: "+".join(s) or "profile")
def test_every_row_at_every_depth(
    table: list[dict[str, str]], secret: Secret, chosen: tuple[str, ...]
) -> None:
    dataset = specimen(table)
    issuer, number = str(dataset.IssuerOfPatientID), str(dataset.PatientID)
    options = Options(**{"modified_dates": False} | dict.fromkeys(chosen, True))
    ObjectDeidentifier(secret, options)(dataset)
    judge = Judge(secret, offset_days(secret, issuer, number), chosen)
    wrong, judged = [], 0
    for where, level in levels(dataset).items():
        for row in table:
            tag = tag_of(row)
            if tag == REFERENCED_IMAGES:
                continue
            after = level.get(tag)
            judged += 1
            allowed = letters(row, chosen)
            if not any(judge.allows(a, tag, vr_of(tag), after) for a in allowed):
                wrong.append((where, row["name"], sorted(allowed), after and after.value))
    assert judged == 620 * 4
    assert not wrong, wrong[:10]


def test_a_sequence_of_references_keeps_only_new_uids(secret: Secret) -> None:
    dataset, item = Dataset(), Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    item.ReferencedSOPInstanceUID, item.PatientName = "1.2.3.4", "CANARY"
    dataset.ReferencedImageSequence = [item]
    ObjectDeidentifier(secret)(dataset)
    (left,) = dataset.ReferencedImageSequence
    assert left.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert left.ReferencedSOPInstanceUID == new_uid(secret, "1.2.3.4")
    assert not left.PatientName


def test_dates_that_the_table_does_not_name_move_as_well(secret: Secret) -> None:
    dataset, item = Dataset(), Dataset()
    dataset.PatientID = "P1"
    item.add(DataElement(0x00404070, "DT", "20240101"))  # not a date of the table's list
    item.RadiopharmaceuticalStartDateTime = "20240101093000"
    dataset.SharedFunctionalGroupsSequence = [item]
    days = offset_days(secret, "", "P1")
    ObjectDeidentifier(secret)(dataset)
    moved = (dt.date(2024, 1, 1) + dt.timedelta(days=days)).strftime("%Y%m%d")
    assert item.RadiopharmaceuticalStartDateTime == moved + "093000"
    assert all(str(e.value)[:8] in (moved, "19000101", "") for e in item if e.VR == "DT")


def test_no_patient_means_no_dates(secret: Secret) -> None:
    dataset = Dataset()
    dataset.StudyDate, dataset.AcquisitionDateTime = "20240101", "20240101101010"
    dataset.SeriesDate = "20240101"
    ObjectDeidentifier(secret)(dataset)
    assert not dataset.StudyDate
    assert "2024" not in str(dataset)


def test_what_the_table_does_not_name_stays_only_when_harmless(secret: Secret) -> None:
    dataset = Dataset()
    dataset.Modality, dataset.SliceThickness, dataset.Manufacturer = "CT", "2.5", "ACME"
    dataset.add(DataElement(0x00190010, "LO", "ACME"))
    dataset.add(DataElement(0x00191001, "DS", "1"))
    dataset.add(DataElement(0x00089999, "LO", "CANARY"))  # no attribute of the standard
    dataset.add(DataElement(0x00080070, "LO", "ACME"))
    dataset.add(DataElement(0x00181271, "UT", "CANARY"))  # under a data type not its own
    dataset.add(DataElement(0x00380062, "UN", b"CANARY"))
    dataset.TextValue = "CANARY"
    dataset.add(DataElement(0x00084000, "LT", "CANARY"))  # retired
    ObjectDeidentifier(secret)(dataset)
    kept = {e.keyword for e in dataset}
    assert {"Modality", "SliceThickness", "Manufacturer"} < kept
    assert "CANARY" not in str(dataset)
    assert not [e for e in dataset if e.tag.is_private]


def test_it_says_what_was_done(secret: Secret) -> None:
    dataset = Dataset()
    dataset.PatientID = "P1"
    ObjectDeidentifier(secret, Options(device=True, uids=True))(dataset)
    codes = [i.CodeValue for i in dataset.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113109", "113110"]
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"


def test_local_codes_lose_their_texts(secret: Secret) -> None:
    dataset, local, public, unknown = (Dataset() for _ in range(4))
    local.CodeValue, local.CodingSchemeDesignator, local.CodeMeaning = "1", "99ACME", "CANARY"
    public.CodeValue, public.CodingSchemeDesignator = "T-04000", "SRT"
    public.CodeMeaning = "Breast of CANARY"
    unknown.CodeValue, unknown.CodingSchemeDesignator = "T-0FFFF", "SRT"
    unknown.CodeMeaning = "CANARY"
    dataset.AnatomicRegionSequence = [local, public, unknown]
    ObjectDeidentifier(secret)(dataset)
    left = dataset.AnatomicRegionSequence
    assert [i.CodeMeaning for i in left] == ["REMOVED", "Breast structure", "REMOVED"]
    assert [i.CodeValue for i in left] == ["0", "T-04000", "T-0FFFF"]

"""Tables and copies agree: the rows of an object, and those of its exported copy, are the same."""

from __future__ import annotations

import io
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pydicom
import pytest

from lakehouse.batch import Source
from lakehouse.definitions.tables import load_tables
from lakehouse.export import Exporter, ExportRefusal, Options
from lakehouse.formats.dicom import FORMAT
from lakehouse.formats.dicom.encoding.header import looks_like_dicom
from lakehouse.formats.dicom.encoding.window import Unreadable
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

OPTIONS = Options(patient_characteristics=True, structured_content=True, device=True)
"""What a table keeps too: sex, age, size and weight; codes of reports; makers and models."""

DIFFERENT = {
    "record_id": "named after the file",
    "document_id": "a pseudonym of the new UID: the copy is an instance of its own",
    "file_size": "the copy has fewer elements",
    "n_segments": "the copy has fewer elements",
    "n_unmapped": "the copy has fewer elements",
    "file_id": "named after the file",
    "identity_removed": "the copy says that it was",
    "burned_in": "table E.1-1 keeps it; only the option that cleans pixels changes it",
    "study_description": "text: no table stores it, the copy has it with clean descriptors only",
    "series_description": "text, as above",
    "series_description_length": "of a text that the copy has not",
    "protocol_name": "text, as above",
    "protocol_id": "a pseudonym of a text that the copy has not",
    "protocol": "text, as above",
    "contrast_agent": "text, as above",
    "plan_label": "text, as above",
    "set_label": "text, as above",
    "roi_name": "text, as above",
    "roi_name_id": "a pseudonym of a text that the copy has not",
    "value_text": "text, as above",
    "study_id": "table E.1-1 empties it",
    "encounter_id": "table E.1-1 removes the admission",
    "placer_order_id": "table E.1-1 removes it",
    "order_id": "table E.1-1 removes it; of a document it is the accession number",
    "institution": "kept with the option for institutions only",
    "sender_facility": "kept with the option for institutions only",
    "device_id": "kept by option as it is, a pseudonym in tables",
    "station_id": "kept by option as it is, a pseudonym in tables",
    "machine_id": "kept by option as it is, a pseudonym in tables",
    "birth_date": "in no table under safe_harbor, in no copy",
    "birth_year": "a copy has no birth date to tell it from",
    "ethnicity": "kept with patient characteristics as typed, a code in tables",
    "character_set": "the copy's own",
    "transfer_syntax_uid": "the copy states what some originals leave out",
    "study_status": "an attribute that the standard has retired",
    "ordinal": "texts and names of reports are gone, so what follows moves up",
    "parent_ordinal": "as above",
    "position": "as above",
    "n_sections": "as above",
}
"""Columns that differ, with the reason."""


def raw_rows(data: bytes) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a copy as they are read, for it is de-identified already."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for batch in FORMAT.parse(io.BytesIO(data), Source("0" * 32)):
        for name, table in batch.tables.items():
            tables[name] = table.to_pylist()
    return tables


def clean_rows(data: bytes, deidentify: Deidentifier) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of an object as a warehouse stores them."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for batch in FORMAT.parse(io.BytesIO(data), Source("0" * 32)):
        for name, table in deidentify(batch).tables.items():
            tables[name] = table.to_pylist()
    return tables


def agree(column: str, phi: str, stored: Any, copied: Any) -> bool:
    """Return whether a column of a table and of the copy say the same."""
    if stored is None and phi == "date" and copied is not None and copied.year == 1900:
        return True  # the dummy that table E.1-1 asks for, where no patient gives an offset
    if stored is None and phi == "display":
        return True  # tables keep texts of fewer schemes; the copy's is the standard's own
    if phi in ("patient", "identifier.order"):
        number = None if copied is None else copied.rpartition("\x1f")[2]
        return number == (stored[: len(number)] if stored and number else stored)
    if isinstance(stored, float) and copied is not None:
        return math.isclose(stored, copied)
    return bool(stored == copied)


def without_texts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the content items of a report that are no texts or names, nor below one."""
    gone = tuple(r["position"] for r in rows if r["value_type"] in ("TEXT", "PNAME"))
    below = tuple(f"{position}." for position in gone)
    return [r for r in rows if r["position"] not in gone and not r["position"].startswith(below)]


@pytest.mark.slow
def test_the_rows_of_a_copy_are_those_of_its_original(
    shared_data: Path, tmp_path: Path, secret: Secret
) -> None:
    deidentify = Deidentifier(load_policy("safe_harbor"), secret)
    definitions = load_tables()
    seen: Counter[str] = Counter()
    wrong: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
    for path in sorted(p for p in (shared_data / "dicom").rglob("*") if p.is_file()):
        data = path.read_bytes()
        if not looks_like_dicom(data[:4096]):
            continue
        try:
            copy = Exporter(tmp_path / "out", secret, OPTIONS).write(data).read_bytes()
        except (ExportRefusal, Unreadable):
            continue
        stored, copied = clean_rows(data, deidentify), raw_rows(copy)
        stored["imaging_reports"] = without_texts(stored.get("imaging_reports", []))
        with_age = pydicom.dcmread(io.BytesIO(data), force=True).get("PatientAge")
        for name in stored.keys() - {"rejects"}:
            if len(stored[name]) != len(copied.get(name, [])):
                wrong.setdefault((name, "(rows)"), set()).add((path.name, "", ""))
                continue
            for ours, theirs in zip(stored[name], copied.get(name, []), strict=True):
                seen[name] += 1
                for column, value in ours.items():
                    if column in DIFFERENT:
                        continue
                    if column == "age_years" and not with_age:
                        continue  # known from the birth date alone, which no copy has
                    phi = definitions[name].columns[column].phi
                    if not agree(column, phi, value, theirs.get(column)):
                        found = (path.name, str(value)[:60], str(theirs.get(column))[:60])
                        wrong.setdefault((name, column), set()).add(found)
    assert not wrong, {key: sorted(found)[:3] for key, found in wrong.items()}
    assert seen["imaging_instances"] > 80
    for name in ("imaging_reports", "rt_plans", "rt_structures", "rt_doses"):
        assert seen[name], name

"""Structured reports: one row a content item, one a document, one an irradiation event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakehouse.formats.dicom.content.dose import events
from lakehouse.formats.dicom.content.items import Row, SequenceItem, common
from lakehouse.formats.dicom.vocabulary.dictionary import keyword_tag, names

TAGS = """ContentSequence ConceptNameCodeSequence ValueType ContentTemplateSequence CompletionFlag
    VerificationFlag ObservationDateTime ContinuityOfContent""".split()  # noqa: SIM905

MARKS = frozenset({keyword_tag("ContentSequence")})

_REFERENCES = ("IMAGE", "COMPOSITE", "WAVEFORM")


def rows(root: SequenceItem) -> Iterator[tuple[str, list[Row]]]:
    """Yield tables with their rows of one report; nothing for other objects."""
    if not root.item.keys() & MARKS:
        return
    items = list(_content(root))
    yield "imaging_reports", items
    yield "documents", [_document(root, items)]
    yield "radiation_events", events(root, items)


def _document(root: SequenceItem, items: list[Row]) -> Row:
    row = common(root, "documents")
    title = items[0]
    row |= {
        "document_id": root.id("SOPInstanceUID"),
        "order_id": root.id("AccessionNumber"),
        "code": title["concept_code"],
        "code_system": title["concept_system"],
        "code_display": title["concept_display"],
        "completion_status": root.text("CompletionFlag"),
        "availability_status": root.text("VerificationFlag"),
        "written_at": title["stated_at"],
        "stated_at": title["stated_at"],
        "n_sections": len(items),
    }
    return row


def _content(root: SequenceItem) -> Iterator[Row]:
    """Yield the items of the tree, depth first, the root as the first."""
    shared = common(root, "imaging_reports")
    title_code, title_system, _ = root.code("ConceptNameCodeSequence")
    shared |= {
        "title_code": title_code,
        "title_system": title_system,
        "completion": root.text("CompletionFlag"),
        "verification": root.text("VerificationFlag"),
        "stated_at": root.moment("ContentDate", "ContentTime")
        or root.moment("StudyDate", "StudyTime"),
    }
    ordinal = 0
    pending: list[tuple[SequenceItem, int | None, int, str]] = [(root, None, 0, "1")]
    while pending:
        item, parent, depth, position = pending.pop()
        yield (
            shared
            | _item(item)
            | {
                "ordinal": ordinal,
                "parent_ordinal": parent,
                "depth": depth,
                "position": position,
            }
        )
        children = [
            (child, ordinal, depth + 1, f"{position}.{n}")
            for n, child in enumerate(item.sequence("ContentSequence"), 1)
        ]
        pending.extend(reversed(children))
        ordinal += 1


def _item(item: SequenceItem) -> Row:
    code, system, meaning = item.code("ConceptNameCodeSequence")
    kind = item.text("ValueType")
    row: Row = {
        "template_id": item.first("ContentTemplateSequence").text("TemplateIdentifier"),
        "relationship": item.text("RelationshipType"),
        "value_type": kind,
        "concept_code": code,
        "concept_system": system,
        "concept_display": meaning,
        "observed_at": item.moment("ObservationDateTime"),
    }
    return row | _value(item, kind)


def _value(item: SequenceItem, kind: str | None) -> dict[str, Any]:
    if kind == "NUM":
        measured = item.first("MeasuredValueSequence")
        number = measured.number("FloatingPointValue")
        return {
            "value_number": measured.number("NumericValue") if number is None else number,
            "unit": measured.code("MeasurementUnitsCodeSequence")[0],
            "qualifier_code": item.code("NumericValueQualifierCodeSequence")[0],
        }
    if kind == "CODE":
        return dict(
            zip(
                ("value_code", "value_system", "value_display"),
                item.code("ConceptCodeSequence"),
                strict=True,
            )
        )
    if kind == "TEXT":
        return {"value_text": item.text("TextValue")}
    if kind == "DATETIME":
        return {"value_at": item.moment("DateTime")}
    if kind == "DATE":
        return {"value_at": item.moment("Date", "Time")}
    if kind == "UIDREF":
        return {"value_uid": item.text("UID")}
    if kind in _REFERENCES:
        reference = item.first("ReferencedSOPSequence")
        return {
            "value_uid": reference.text("ReferencedSOPInstanceUID"),
            "referenced_class": names("sop_classes").get(
                reference.text("ReferencedSOPClassUID") or ""
            ),
        }
    return {}

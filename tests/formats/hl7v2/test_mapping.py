"""Mapping files, and which segment governs which."""

from __future__ import annotations

from pathlib import Path as FilePath

import pytest

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError
from lakehouse.formats.hl7v2.datatypes.paths import parse_path
from lakehouse.formats.hl7v2.mapping import load_mappings, read_mapping
from tests.formats.hl7v2.reading import MSH, PID, message, rejects, rows

BROKEN = {
    'table = "observations"': "`segment` is missing",
    'table = "nope"\nsegment = "OBX"': "there is no table nope",
    'table = "patients"\nsegment = "PID"\n[columns]\nsexx = "PID-8"': "Did you mean sex?",
    'table = "patients"\nsegment = "PID"\n[columns]\nsex = "OBX-8"': "Add OBX to `within`",
    'table = "patients"\nsegment = "PID"\n[columns]\nsex = "PID8"': "not an HL7 path",
    'table = "patients"\nsegment = "PID"\nonly = "PID-8 is F"': "not a condition",
    'table = "patients"\nsegment = "PID"\nneeds = ["EVN"]': "Add EVN to `within`",
    'table = "patients"\nsegment = "PID"\n[columns]\nsex = { frm = "PID-8" }': "unknown key frm",
    "table = ": "not valid TOML",
}


@pytest.mark.parametrize("text", list(BROKEN))
def test_a_broken_mapping_says_where_and_what(tmp_path: FilePath, text: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(text)
    with pytest.raises(DefinitionError, match=r"broken\.toml|not an HL7|not a condition") as caught:
        read_mapping(file, load_tables())
    assert BROKEN[text] in str(caught.value)


def test_shipped_mappings_feed_every_hl7_table() -> None:
    fed = {m.table.name for m in load_mappings()}
    assert {
        "records",
        "patients",
        "patient_links",
        "encounters",
        "observations",
        "conditions",
        "procedures",
        "medications",
        "allergies",
        "immunizations",
        "appointments",
        "orders",
        "charges",
        "coverages",
        "documents",
    } <= fed


def test_paths() -> None:
    assert str(parse_path("PID-3.4.1")) == "PID-3.4.1"
    assert parse_path("previous PID-3").segment == "previous PID"


def test_an_obx_belongs_to_the_obr_before_it() -> None:
    data = message(
        PID,
        "ORC|RE|P1|F1",
        "OBR|1|P1|F1|A^a^L",
        "OBX|1|NM|X^x^L||1",
        "OBR|2|P2|F2|B^b^L",
        "OBX|1|NM|Y^y^L||2",
        "OBX|2|NM|Z^z^L||3",
    )
    found = [
        (r["panel_code"], r["code"], r["order_id"], r["ordinal"])
        for r in rows(data, "observations")
    ]
    assert found == [("A", "X", "\x1fF1", 0), ("B", "Y", "\x1fF2", 1), ("B", "Z", "\x1fF2", 2)]


def test_a_group_ends_with_its_patient() -> None:
    second = PID.replace("42", "43")
    data = message(
        PID,
        "PV1|1|I|||||||||||||||||V1",
        "OBR|1||F1|A^a^L",
        "OBX|1|NM|X^x^L||1",
        second,
        "OBX|1|NM|Y^y^L||2",
    )
    one, two = rows(data, "observations")
    assert (one["patient_id"], one["encounter_id"], one["order_id"]) == (
        "HOSP\x1f42",
        "\x1fV1",
        "\x1fF1",
    )
    assert two["patient_id"] == "HOSP\x1f43"
    assert "order_id" not in two and "encounter_id" not in two


def test_groups_never_reach_into_the_next_message() -> None:
    data = message(PID, "OBR|1||F1|A^a^L") + message("OBX|1|NM|Y^y^L||2")
    (row,) = rows(data, "observations")
    assert "order_id" not in row and "patient_id" not in row


def test_what_follows_is_found_up_to_the_next_of_its_kind() -> None:
    data = message(
        PID, "RXE||A^a^L|1||MG", "RXR|PO", "RXE||B^b^L|2||MG", "RXE||C^c^L|3||MG", "RXR|IV"
    )
    assert [(r["code"], r.get("route")) for r in rows(data, "medications")] == [
        ("A", "PO"),
        ("B", None),
        ("C", "IV"),
    ]


def test_a_specimen_behind_the_results_of_its_order() -> None:
    data = message(
        PID,
        "OBR|1||F1|A^a^L",
        "OBX|1|NM|X^x^L||1",
        "OBX|2|NM|Y^y^L||1",
        "SPM|1|P&H^S9&LAB||BLD",
        "OBR|2||F2|B^b^L",
        "OBX|1|NM|Z^z^L||1",
    )
    assert [r.get("specimen_id") for r in rows(data, "observations")] == [
        "LAB\x1fS9",
        "LAB\x1fS9",
        None,
    ]
    assert [r.get("specimen_type") for r in rows(data, "orders")] == ["BLD", None]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("A40", "merge"),
        ("A34", "merge"),
        ("A18", "merge"),
        ("A30", "merge"),
        ("A44", "move-encounter"),
    ],
)
def test_merges(event: str, kind: str) -> None:
    data = message(PID, "MRG|99^^^HOSP").replace("ADT^A01", f"ADT^{event}")
    (row,) = rows(data, "patient_links")
    assert (row["patient_id"], row["old_patient_id"], row["kind"]) == (
        "HOSP\x1f42",
        "HOSP\x1f99",
        kind,
    )


def test_several_merges_in_one_message() -> None:
    data = message(PID, "MRG|98^^^HOSP", PID.replace("42", "50"), "MRG|99^^^HOSP")
    data = data.replace("ADT^A01", "ADT^A40")
    assert [
        (r["patient_id"][-2:], r["old_patient_id"][-2:], r["ordinal"])
        for r in rows(data, "patient_links")
    ] == [("42", "98", 0), ("50", "99", 1)]


@pytest.mark.parametrize(("event", "kind"), [("A24", "link"), ("A37", "unlink")])
def test_links_of_two_patients(event: str, kind: str) -> None:
    data = message(PID, PID.replace("42", "43")).replace("ADT^A01", f"ADT^{event}")
    linked = rows(data, "patient_links")
    assert [(r["patient_id"], r["old_patient_id"], r["kind"]) for r in linked] == [
        ("HOSP\x1f42", "HOSP\x1f43", kind)
    ]
    alone = message(PID).replace("ADT^A01", f"ADT^{event}")
    assert not rows(alone, "patient_links")
    assert len(rows(alone + data, "patient_links")) == 1


def test_vaccinations_and_administrations_part_by_message_type() -> None:
    rxa = "RXA|0|1|20240101||08^HepB^CVX|0.5|ML"
    vaccine = message(PID, "ORC|RE||O1", rxa).replace("ADT^A01", "VXU^V04")
    assert len(rows(vaccine, "immunizations")) == 1 and not rows(vaccine, "medications")
    drug = message(PID, "ORC|RE||O1", rxa).replace("ADT^A01", "RAS^O17")
    assert not rows(drug, "immunizations")
    assert rows(drug, "medications")[0]["kind"] == "administration"


def test_two_mappings_of_one_table_share_its_numbering() -> None:
    data = message(PID, "ORC|NW|P1", "RXO|A^a^L|1", "RXE||B^b^L|2||MG", "RXO|C^c^L|3")
    assert [(r["code"], r["ordinal"]) for r in rows(data, "medications")] == [
        ("A", 0),
        ("B", 1),
        ("C", 2),
    ]


def test_segment_order_is_noted() -> None:
    data = message("PV1|1|I", PID)
    assert (0, "hl7v2.segment.order", "warning") in rejects(data)
    assert not rejects(message(PID, "PV1|1|I"))


def test_a_type_without_mapping_still_yields_its_record() -> None:
    data = message("QPD|Q22|1|@PID.3^5", "RCP|I").replace("ADT^A01", "QBP^Q22^QBP_Q21")
    assert rows(data, "records")[0]["record_type"] == "QBP^Q22"
    assert not rejects(data)


def test_a_record_without_patient_number_is_rejected_whole() -> None:
    data = message(PID) + message("PID|1||||DOE^J", "OBX|1|NM|A^a^L||1") + message(PID)
    assert rejects(data) == [(1, "hl7v2.pid.record-number-required", "record")]
    assert not rows(data, "observations")
    (reject,) = rows(data, "rejects")
    assert reject["byte_offset"] == len(message(PID)) and reject["record_type"] == "ADT^A01"


def test_a_row_without_code_is_rejected_alone() -> None:
    data = message(PID, "OBX|1|NM|^text^L||1", "OBX|2|NM|A^a^L||2")
    assert [r["code"] for r in rows(data, "observations")] == ["A"]
    assert rejects(data) == [(0, "hl7v2.obx.code-required", "row")]


def test_what_the_header_must_hold_and_does_not() -> None:
    data = f"{MSH.replace('|C1|P|2.5', '|||')}\r{PID}\r".replace("20240102030405", "")
    assert [rule for _, rule, _ in rejects(data)] == [
        "hl7v2.msh.control-id",
        "hl7v2.msh.processing-id-required",
        "hl7v2.msh.time",
        "hl7v2.msh.version-required",
    ]


def test_a_visit_without_patient_is_noted() -> None:
    assert rejects(message("EVN|A01", "PV1|1|I")) == [(0, "hl7v2.pv1.patient-required", "warning")]


@pytest.mark.parametrize(
    ("rule", "segment"),
    [
        ("pv1.admission-after-message", "PV1|1|I" + "|" * 42 + "20240105"),
        ("pv1.discharge-after-message", "PV1|1|I" + "|" * 43 + "20240105"),
        ("pr1.after-message", "PR1|1||A^a^L||20240105"),
        ("time.after-message", "OBX|1|NM|A^a^L||1||||||F|||20240105"),
    ],
)
def test_times_after_the_message_are_noted(rule: str, segment: str) -> None:
    assert rejects(message(PID, segment)) == [(0, f"hl7v2.{rule}", "warning")]
    # of a message that does not say when it was made, the clock decides
    silent = message(PID, segment).replace("20240102030405", "")
    assert (0, f"hl7v2.{rule}", "warning") not in rejects(silent)
    assert (0, f"hl7v2.{rule}", "warning") in rejects(silent.replace("20240105", "29990105"))


def test_other_times_after_the_message_are_noted() -> None:
    died = message(PID + "|" * 18 + "20240105")
    assert rejects(died) == [(0, "hl7v2.death.after-message", "warning")]
    event = message("EVN|A01|20240105", PID)
    assert rejects(event) == [(0, "hl7v2.evn.after-message", "warning")]
    made = message(PID.replace("1950", "2950")).replace("20240102030405", "29990102")
    assert rejects(made) == [(0, "hl7v2.msh.time-future", "warning")]
    planned = message(PID, "PV1|1|P" + "|" * 42 + "20240105").replace("ADT^A01", "ADT^A05")
    assert not rejects(planned)


def test_header_faults_are_warnings() -> None:
    data = f"{MSH.replace('|C1|P|2.5', '||X|9.9')}\r{PID}\r".replace("20240102030405", "")
    assert [rule for _, rule, _ in rejects(data)] == [
        "hl7v2.msh.control-id",
        "hl7v2.msh.processing-id",
        "hl7v2.msh.time",
        "hl7v2.msh.version",
    ]
    assert len(rows(data, "patients")) == 1


def test_impossible_times_are_warnings() -> None:
    future = message(PID, "OBX|1|NM|A^a^L||1||||||F|||20250101")
    assert rejects(future) == [(0, "hl7v2.time.after-message", "warning")]
    assert rejects(message(PID.replace("1950", "2030"))) == [
        (0, "hl7v2.birth.after-message", "warning")
    ]
    assert rejects(message(PID.replace("1950", "1850"))) == [
        (0, "hl7v2.birth.impossible", "warning")
    ]
    visit = "PV1|1|I" + "|" * 42 + "20231205|20231201"
    assert rejects(message(PID, visit)) == [(0, "hl7v2.pv1.discharge-before-admission", "warning")]

"""What HL7 v2 messages mean, from their bytes to the views that say what holds today.

Every case has patients of its own; all are in one warehouse, under ``safe_harbor``, where each
identity has a time line of its own until a link lays two on one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from lakehouse.privacy.identity.pseudonyms import pseudonym
from lakehouse.privacy.keys.secret import Secret
from lakehouse.query.lakehouse import Lakehouse

NUMBERS = count(1)


def message(
    kind: str, at: str, *segments: str, control: str = "", sender: str = "ADT", evn: bool = True
) -> str:
    """Return a message made on a day and minute of 2024, such as ``0115 0830``."""
    time = f"2024{at.replace(' ', '')}00"
    control = control or f"C{next(NUMBERS)}"
    event = (f"EVN|{kind[-3:]}|{time}",) if kind.startswith("ADT") and evn else ()
    head = f"MSH|^~\\&|{sender}|MERCY|LAKE|MERCY|{time}||{kind}|{control}|P|2.5"
    return "\r".join((head, *event, *segments, ""))


def adt(event: str, at: str, *segments: str, **more: Any) -> str:
    return message(f"ADT^{event}", at, *segments, **more)


def pid(number: str, sex: str = "F", race: str = "", address: str = "^^Boston^MA^02115^USA") -> str:
    return f"PID|1||{number}^^^MERCY^MR||Doe^Jane||19800101|{sex}||{race}|{address}"


def pv1(visit: str, service: str = "MED", ended: str = "") -> str:
    fields = {2: "I", 3: "3W^301^A", 10: service, 19: f"{visit}^^^MERCY^VN", 45: ended}
    return "|".join(("PV1", *(fields.get(n, "") for n in range(1, 46))))


def result(number: str, at: str, order: str, *observed: str, status: str = "F") -> str:
    """Return a report; ``order`` is placer's and filler's number with a slash between."""
    placer, _, filler = order.partition("/")
    obr = f"OBR|1|{placer}|{filler}|2345-7^Glucose^LN|||" + "|" * 18 + status
    return message("ORU^R01", at, pid(number), obr, *observed, sender="LAB")


def obx(value: str, status: str = "F", at: str = "") -> str:
    time = f"2024{at.replace(' ', '')}00" if at else ""
    return f"OBX|1|NM|2345-7^Glucose^LN||{value}|mg/dL|||||{status}|||{time}"


MERGES = ("A18", "A30", "A34", "A40")


def merge(event: str) -> list[str]:
    """A result of each of two identities, a day apart, and the message that makes them one."""
    old, new = f"{event}OLD", f"{event}NEW"
    both = (pid(old),) if event == "A24" else (f"MRG|{old}^^^MERCY^MR",)
    return [
        result(old, "0110 0830", f"/{event}1", obx("100", at="0110 0800")),
        result(new, "0111 0830", f"/{event}2", obx("110", at="0111 0800")),
        adt("A08", "0111 0900", pid(old, race="2106-3")),
        adt(event, "0112 0900", pid(new), *both),
    ]


REPEATED = result("TWICE", "0110 0830", "/TWICE", obx("100", at="0110 0800"))

FEED = [
    adt("A01", "0110 0800", pid("A11"), pv1("VA11")),
    adt("A11", "0110 0900", pid("A11"), pv1("VA11")),
    adt("A01", "0110 0800", pid("A13"), pv1("VA13")),
    adt("A03", "0112 0800", pid("A13"), pv1("VA13", ended="20240112080000")),
    adt("A13", "0112 0900", pid("A13"), pv1("VA13")),
    adt("A01", "0110 0800", pid("A03"), pv1("VA03")),
    adt("A03", "0112 0800", pid("A03"), pv1("VA03", ended="20240112080000")),
    *(text for event in (*MERGES, "A24") for text in merge(event)),
    # the later message arrives first, and only MSH-7 tells
    adt("A08", "0115 0900", pid("LATE", "M", "2054-5"), pv1("VLATE", service="SUR"), evn=False),
    adt("A08", "0114 0900", pid("LATE", "F", "2106-3"), pv1("VLATE", service="PED"), evn=False),
    adt("A01", "0113 0900", pid("LATE", "F", "2106-3"), pv1("VLATE"), evn=False),
    REPEATED,
    REPEATED.replace("\rOBX|1|", "\rOBX|2|"),  # sent once more, and not the same bytes
    adt("A01", "0110 0800", pid("EMPTY", race="2106-3"), pv1("VEMPTY")),
    adt("A08", "0111 0800", pid("EMPTY", race='""', address='""'), pv1("VEMPTY", service='""')),
    adt("A08", "0112 0800", pid("EMPTY", address=""), pv1("VEMPTY", service="")),
    adt("A01", "0110 0800", pid("KEPT", race="2106-3"), pv1("VKEPT")),
    adt("A08", "0112 0800", pid("KEPT", address=""), pv1("VKEPT", service="")),
    # OBX-11
    result("C", "0110 0830", "/C", obx("100", at="0110 0800")),
    result("C", "0110 0930", "/C", obx("130", "C", at="0110 0805")),
    result("W", "0110 0830", "/W", obx("100", at="0110 0800")),
    result("W", "0110 0930", "/W", obx("100", "W", at="0110 0800")),
    result("D", "0110 0830", "/D", obx("100", at="0110 0800")),
    result("D", "0110 0930", "/D", obx("", "D")),
    result("DF", "0110 0830", "/DF", obx("100", at="0110 0800")),
    result("DF", "0110 0930", "/DF", obx("", "D")),
    result("DF", "0110 1030", "/DF", obx("120", at="0110 0800")),
    result("SERIAL", "0110 0830", "/S", obx("100", at="0110 0800")),
    result("SERIAL", "0110 1230", "/S", obx("120", at="0110 1200")),
    result("SERIAL", "0110 1630", "/S", obx("140", at="0110 1600")),
    result("SERIAL", "0110 1700", "/S", obx("125", "C", at="0110 1200")),
    # OBR-25
    result("OC", "0110 0830", "/OC", obx("100", at="0110 0800")),
    result("OC", "0110 0930", "/OC", obx("130", at="0110 0800"), status="C"),
    result("OX", "0110 0830", "/OX", obx("100", at="0110 0800")),
    result("OX", "0110 0930", "/OX", status="X"),
    result("PC", "0110 0830", "PC/", obx("100", at="0110 0800")),
    result("PC", "0110 0930", "PC/", obx("130", at="0110 0800"), status="C"),
    result("PX", "0110 0830", "PX/FX", obx("100", at="0110 0800")),
    result("PX", "0110 0930", "PX/", status="X"),
]


class Ward:
    """The views, asked by true record numbers."""

    def __init__(self, lake: Lakehouse, secret: Secret) -> None:
        self._lake = lake
        self._secret = secret

    def patient_id(self, number: str) -> str:
        return pseudonym(self._secret, "patient", "MERCY", number)

    def ask(
        self, columns: str, view: str, number: str, order: str = "ALL"
    ) -> list[tuple[Any, ...]]:
        query = f"SELECT {columns} FROM {view} WHERE patient_id = $p ORDER BY {order}"
        return self._lake.sql(query, {"p": self.patient_id(number)}).fetchall()

    def results(self, number: str) -> list[tuple[Any, ...]]:
        return self.ask("value, status", "lab_results", number, "observed_at")


@pytest.fixture(scope="module")
def ward(key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("semantics")
    (folder / "feed.hl7").write_text("\r\n".join(FEED), newline="")
    lakehouse.init(folder / "warehouse", key_file=key_file)
    report = lakehouse.ingest(
        folder / "feed.hl7", folder / "warehouse", key_file=key_file, show_progress=False
    )
    assert (report.n_records, report.n_rejects, report.n_warnings) == (len(FEED), 0, 0)
    with lakehouse.open(folder / "warehouse") as lake:
        yield Ward(lake, Secret.load(key_file))


VISIT = "status, admitted_at IS NULL, discharged_at IS NULL"


def test_a11_cancels_the_admission(ward: Ward) -> None:
    assert ward.ask(VISIT, "encounters_current", "A11") == [("cancelled", True, True)]


def test_a13_cancels_the_discharge(ward: Ward) -> None:
    assert ward.ask(VISIT, "encounters_current", "A03") == [("finished", False, False)]
    assert ward.ask(VISIT, "encounters_current", "A13") == [("in-progress", False, True)]


@pytest.mark.parametrize("event", [*MERGES, "A24"])
def test_two_identities_are_one_patient_on_one_time_line(event: str, ward: Ward) -> None:
    old, new = f"{event}OLD", f"{event}NEW"
    kind = "link" if event == "A24" else "merge"
    if event == "A24":  # the first PID stays, the second is linked to it
        assert len(ward.ask("kind", "patient_links", new)) == 1
    links = ward.ask("old_patient_id, kind", "patient_links", new)
    assert links == [(ward.patient_id(old), kind)]
    assert ward.ask("n_identities, race", "patients_current", new) == [(2, "2106-3")]
    assert not ward.ask("n_identities", "patients_current", old)
    (first, then) = ward.ask("value, observed_at", "lab_results", new, "value")
    assert (first[0], then[0]) == (100, 110)
    assert then[1] - first[1] == timedelta(days=1)


def test_the_message_made_last_counts_not_the_one_that_came_last(ward: Ward) -> None:
    assert ward.ask("sex, race", "patients_current", "LATE") == [("male", "2054-5")]
    assert ward.ask("service, status", "encounters_current", "LATE") == [("SUR", "in-progress")]


def test_a_message_sent_twice_counts_once(ward: Ward) -> None:
    assert ward.results("TWICE") == [(100, "final")]
    assert len(ward.ask("nth", "repeated_records", "TWICE")) == 1


def test_an_explicit_null_empties_and_an_absent_field_does_not(ward: Ward) -> None:
    assert ward.ask("race, state", "patients_current", "EMPTY") == [(None, None)]
    assert ward.ask("race, state", "patients_current", "KEPT") == [("2106-3", "MA")]
    assert ward.ask("service", "encounters_current", "EMPTY") == [(None,)]
    assert ward.ask("service", "encounters_current", "KEPT") == [("MED",)]


@pytest.mark.parametrize(
    ("number", "current"),
    [
        ("C", [(130, "corrected")]),
        ("W", []),
        ("D", []),
        ("DF", [(120, "final")]),
        ("SERIAL", [(100, "final"), (125, "corrected"), (140, "final")]),
    ],
)
def test_obx_11_takes_back_what_it_names(number: str, current: list[Any], ward: Ward) -> None:
    assert ward.results(number) == current
    assert len(ward.ask("status", "observations", number)) > len(current)  # statements are kept


@pytest.mark.parametrize(
    ("number", "current"),
    [
        ("OC", [(130, "corrected")]),
        ("OX", []),
        ("PC", [(130, "corrected")]),
        ("PX", []),
    ],
)
def test_obr_25_corrects_and_cancels_the_order(number: str, current: list[Any], ward: Ward) -> None:
    assert ward.results(number) == current

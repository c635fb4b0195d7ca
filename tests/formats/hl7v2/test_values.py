"""Data types: times, numbers, structured numerics, codes, identifiers, escapes, explicit nulls."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.formats.hl7v2.datatypes.observation_value import reference_range
from lakehouse.formats.hl7v2.datatypes.text import number_parts, unescape
from lakehouse.formats.hl7v2.encoding.tokens import Delimiters
from tests.formats.hl7v2.reading import MSH, PID, message, rejects, rows

OBX = "OBX|1|{kind}|2345-7^Glucose^LN||{value}|{unit}|{range}|H|||{status}|||20240101"


def observation(
    kind: str = "NM", value: str = "1", unit: str = "mg/dL", range: str = "", status: str = "F"
) -> dict[str, object]:
    (row,) = rows(
        message(PID, OBX.format(kind=kind, value=value, unit=unit, range=range, status=status)),
        "observations",
    )
    return row


def instant(text: str, zone: str = "UTC") -> datetime | None:
    found = rows(
        message(PID, f"PV1|1|I|A^1||||||||||||||||V1|||||||||||||||||||||||||{text}"),
        "encounters",
        time_zone=zone,
    )
    return found[0].get("admitted_at")  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20240229", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024022913", datetime(2024, 2, 29, 13, tzinfo=UTC)),
        ("202402291314", datetime(2024, 2, 29, 13, 14, tzinfo=UTC)),
        ("20240229131415", datetime(2024, 2, 29, 13, 14, 15, tzinfo=UTC)),
        ("20240229131415.1234", datetime(2024, 2, 29, 13, 14, 15, 123400, tzinfo=UTC)),
        ("20240229131415123", datetime(2024, 2, 29, 13, 14, 15, 123000, tzinfo=UTC)),
        ("20240229131415-0500", datetime(2024, 2, 29, 18, 14, 15, tzinfo=UTC)),
        ("20240229131415.5+0530", datetime(2024, 2, 29, 7, 44, 15, 500000, tzinfo=UTC)),
        ("19000101", datetime(1900, 1, 1, tzinfo=UTC)),
        ("16000229", datetime(1600, 2, 29, tzinfo=UTC)),
        ("20240229131460", datetime(2024, 2, 29, 13, 14, 59, tzinfo=UTC)),
        ("2024", None),
        ("202402", None),
        ("20230229", None),
        ("20241301", None),
        ("20240101250000", None),
        ("2024010", None),
        ("Aug 15, 1942", None),
        ("0", None),
        ("20240101+9900", None),
        ("20240101-05", None),
        ("00000101", None),
    ],
)
def test_times(text: str, expected: datetime | None) -> None:
    assert instant(text) == expected


def test_a_time_without_offset_is_read_in_the_zone_of_the_ingest() -> None:
    assert instant("20240701120000", "America/New_York") == datetime(2024, 7, 1, 16, tzinfo=UTC)
    assert instant("20240101120000", "America/New_York") == datetime(2024, 1, 1, 17, tzinfo=UTC)
    assert instant("20240701120000+0000", "America/New_York") == datetime(
        2024, 7, 1, 12, tzinfo=UTC
    )
    # the hour that a clock change skips or repeats still gives one instant
    assert instant("20240310023000", "America/New_York") is not None
    assert instant("20241103013000", "America/New_York") == datetime(2024, 11, 3, 5, 30, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 30)))
def test_every_instant_is_read_as_python_reads_it(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert instant(f"{moment:%Y%m%d%H%M%S}".rjust(14, "0")) == moment.replace(tzinfo=UTC)


def test_partial_and_faulty_times_are_noted_by_place() -> None:
    data = message(PID.replace("19500601", "195006"), "PV1|1|I" + "|" * 42 + "Aug 15")
    assert rows(data, "patients")[0]["birth_date"] == date(1950, 6, 1)
    found = rows(data, "rejects")
    assert {(r["rule"], r["location"]) for r in found} == {
        ("hl7v2.time.partial", "PID-7"),
        ("hl7v2.time.invalid", "PV1-44"),
    }
    assert "Aug" not in str(found)


def test_hour_of_day_is_the_senders_own() -> None:
    data = message(PID).replace("20240102030405", "20240102030405-0500")
    (row,) = rows(data, "records")
    assert row["recorded_hour"] == 3
    assert row["recorded_at"] == datetime(2024, 1, 2, 8, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("NM", "86", {"value_number": 86.0}),
        ("NM", "-1.5e2", {"value_number": -150.0}),
        ("NM", "<0.5", {"value_number": 0.5, "comparator": "<"}),
        ("NM", "abc", {}),
        ("SN", ">^100", {"value_number": 100.0, "comparator": ">"}),
        ("SN", "^100^-^200", {"value_number": 100.0, "value_high": 200.0, "value_separator": "-"}),
        ("SN", "^1^:^128", {"value_number": 1.0, "value_high": 128.0, "value_separator": ":"}),
        ("ST", "12.5", {"value_number": 12.5}),
        ("ST", "see note", {}),
        ("ST", "123456789", {}),  # as long as an identifier
        ("TX", "12.5", {}),
        (
            "CWE",
            "A^Alpha^SCT",
            {"value_code": "A", "value_code_system": "snomed", "value_code_display": "Alpha"},
        ),
        (
            "CE",
            "POS^Positive^L",
            {"value_code": "POS", "value_code_system": "local", "value_code_display": "Positive"},
        ),
        ("CWE", "Jane Doe was here", {}),
        ("IS", "N", {"value_code": "N"}),
        ("TS", "20240101", {"value_at": datetime(2024, 1, 1, tzinfo=UTC)}),
        ("XPN", "DOE^JANE", {}),
        ("XAD", "1 MAIN ST", {}),
        ("CX", "42^^^H", {}),
        ("ED", "^^PDF^Base64^QUJD", {}),
        ("FT", "text", {}),
        ("", "7", {}),
    ],
)
def test_values_by_type(kind: str, value: str, expected: dict[str, object]) -> None:
    row = observation(kind, value)
    found = {
        k: v
        for k, v in row.items()
        if (k.startswith("value_") and k != "value_type") or k == "comparator"
    }
    assert found == expected


def test_an_st_number_needs_a_unit() -> None:
    assert "value_number" not in observation("ST", "12.5", unit="")


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        ("NM", "n/a", "obx.nm-not-numeric"),
        ("NM", "1e999", "obx.nm-not-numeric"),  # more than a double holds
        ("NM", "9" * 400, "obx.nm-not-numeric"),
        ("SN", "abc^def", "obx.sn-invalid"),
        ("SN", "^1^-^x", "obx.sn-invalid"),
        ("SN", "^1^to^2", "obx.sn-invalid"),
        ("SN", "about^1", "obx.sn-invalid"),
        ("DT", "soon", "time.invalid"),
        ("TS", "2024", "time.partial"),
        ("", "7", "obx.type-required"),
    ],
)
def test_a_value_that_its_type_does_not_allow_is_noted(kind: str, value: str, rule: str) -> None:
    data = message(PID, OBX.format(kind=kind, value=value, unit="", range="", status="F"))
    assert (0, f"hl7v2.{rule}", "warning") in rejects(data)
    assert "value_at" not in observation(kind, value, unit="")


@pytest.mark.parametrize("value", ["1e999", "9" * 400])
def test_a_number_that_no_double_holds_is_none(value: str) -> None:
    assert "value_number" not in observation("NM", value)
    assert "value_number" not in observation("SN", f"^{value}")
    assert not {"range_low", "range_high"} & observation(range=f"<{value}").keys()


@pytest.mark.parametrize(
    ("kind", "value"), [("SN", ">^5"), ("SN", "<>^5"), ("ED", "x"), ("NM", "")]
)
def test_a_value_that_its_type_allows_is_not(kind: str, value: str) -> None:
    data = message(PID, OBX.format(kind=kind, value=value, unit="", range="", status="F"))
    assert not [r for r in rejects(data) if r[1].startswith("hl7v2.obx")]


def test_several_flags_are_noted() -> None:
    data = message(PID, OBX.format(kind="NM", value="1", unit="", range="", status="F"))
    data = data.replace("|H|", "|A~H|")
    assert rows(data, "observations")[0]["flag"] == "A"
    assert (0, "hl7v2.obx.flag-repeated", "warning") in rejects(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("70-110", (70, 110)),
        ("0.5 - 1.2 mg/dL", (0.5, 1.2)),
        ("-2--1", (-2, -1)),
        ("<5", (None, 5)),
        (">= 60", (60, None)),
        ("up to 40", (None, 40)),
        ("negative", (None, None)),
        ("", (None, None)),
        ("3.5 to 5", (3.5, 5)),
    ],
)
def test_reference_ranges(text: str, expected: tuple[float | None, float | None]) -> None:
    assert reference_range(text) == expected


def test_of_two_codings_the_public_one_comes_first() -> None:
    (row,) = rows(message(PID, "OBX|1|NM|GLU^Gluc^L^2345-7^Glucose^LN||5|mg"), "observations")
    assert (row["code"], row["code_system"], row["alt_code"], row["alt_code_system"]) == (
        "2345-7",
        "loinc",
        "GLU",
        "local",
    )
    (row,) = rows(message(PID, "OBX|1|NM|2345-7^G^LN^GLU^G^L||5|mg"), "observations")
    assert (row["code"], row["alt_code"]) == ("2345-7", "GLU")
    (row,) = rows(message(PID, "OBX|1|NM|^^^GLU^G^L||5|mg"), "observations")
    assert (row["code"], row["code_system"], row["code_display"]) == ("GLU", "local", "G")


@pytest.mark.parametrize(
    ("sent", "ours"),
    [
        ("LN", "loinc"),
        ("I10", "icd10cm"),
        ("SCT", "snomed"),
        ("HL70005", "hl7-0005"),
        ("99LOCAL", "local"),
        ("L", "local"),
        ("DR. SMITH", "other"),
    ],
)
def test_coding_systems_are_a_closed_list(sent: str, ours: str) -> None:
    (row,) = rows(message(PID, f"OBX|1|NM|A^B^{sent}||5|mg"), "observations")
    assert row["code_system"] == ours


@pytest.mark.parametrize(
    ("pid3", "expected"),
    [
        ("42^^^HOSP^MR", "HOSP\x1f42"),
        ("42", "\x1f42"),
        ("42^^^&1.2.3&ISO", "1.2.3\x1f42"),
        ("42^^^HOSP&1.2.3&ISO^MR", "HOSP\x1f42"),
        ("1^^^SSA^SS~42^^^HOSP^MR", "HOSP\x1f42"),
        ("1^^^SSA^SS~42^^^HOSP", "HOSP\x1f42"),
        ("1^^^A^PI~42^^^HOSP^MR", "HOSP\x1f42"),
        ("^^^HOSP^MR~42^^^H2", "H2\x1f42"),
        ("  42 ^^^ HOSP", "HOSP\x1f42"),
    ],
)
def test_record_numbers(pid3: str, expected: str) -> None:
    assert rows(message(f"PID|1||{pid3}"), "patients")[0]["patient_id"] == expected


def test_record_number_falls_back_to_withdrawn_fields() -> None:
    assert rows(message("PID|1|7^^^H"), "patients")[0]["patient_id"] == "H\x1f7"
    assert rows(message("PID|1|||8^^^H"), "patients")[0]["patient_id"] == "H\x1f8"
    default = rows(message("PID|1||9"), "patients", authority="MAIN")
    assert default[0]["patient_id"] == "MAIN\x1f9"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"A\F\B\S\C\T\D\R\E\E\F", "A|B^C&D~E\\F"),
        (r"\X41\\X42\c", "ABc"),
        (r"\XC3A9\ ", "é "),
        (r"a\.br\b", "a\nb"),
        (r"\H\bold\N\ ", "bold "),
        (r"\P\\L\ ", "## "),
        (r"\Z99\x", "x"),
        (r"a\C2842\b\M2444\c\M244455\d", "abcd"),  # switches of the character set
        (r"a\.sp+2\b\.in-4\c\.BR\d", "a\nbc\nd"),
        ("lone \\ stays", "lone \\ stays"),
        (r"C:\dir name\x", r"C:\dir name\x"),
        (r"C:\dir\file\x", r"C:\dir\file\x"),
        (r"C:\dir\T\x", r"C:\dir&x"),
        (r"a\X4\b\XZZ\c", r"a\X4\b\XZZ\c"),
        ("\\", "\\"),
    ],
)
def test_escapes(sent: str, meant: str) -> None:
    assert unescape(sent, Delimiters()) == meant


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x0b\x1c"), max_size=40))
def test_escaping_and_unescaping_gives_the_text_back(text: str) -> None:
    sent = text
    for character, letter in (("\\", "E"), ("|", "F"), ("^", "S"), ("&", "T"), ("~", "R")):
        if letter == "E":
            sent = sent.replace("\\", "\0E\0")
        else:
            sent = sent.replace(character, f"\\{letter}\\")
    sent = sent.replace("\0E\0", "\\E\\") if "\0" not in text else sent
    if "\0" not in text:
        assert unescape(sent, Delimiters()) == text


def test_escapes_are_decoded_in_columns_too() -> None:
    data = message(PID.replace("BOSTON", r"A\T\B \X4F4B\ "))
    assert rows(data, "patients")[0]["city"] == "A&B OK"


def test_explicit_null_differs_from_absent() -> None:
    data = message('PID|1||42^^^H||A||""|""|||^^""^MA')
    (row,) = rows(data, "patients")
    assert row["cleared"] == "birth_date,birth_year,sex"
    assert "sex" not in row and "birth_date" not in row and row["state"] == "MA"
    assert "cleared" not in rows(message("PID|1||42^^^H||A"), "patients")[0]


def test_table_bound_codes() -> None:
    data = message(
        PID.replace("|F|", "|Q|"), OBX.format(kind="NM", value="1", unit="", range="", status="Q")
    )
    assert "sex" not in rows(data, "patients")[0]
    found = rejects(data)
    assert (0, "hl7v2.table-0001", "warning") in found
    assert (0, "hl7v2.table-0085", "warning") in found


@given(st.text(max_size=12))
def test_number_parts_never_raises(text: str) -> None:
    parts = number_parts(text)
    assert parts is None or isinstance(parts[1], float)


def test_nothing_of_a_message_is_in_a_reject() -> None:
    """Nor what stands in fields that are stored in the open, where it only looks like a code."""
    secret = "JANE"
    header = MSH.replace("20240102030405", secret).replace("ADT^A01", f"{secret} DOE^{secret}9")
    data = "\r".join(
        [
            header.replace("|P|2.5", f"|{secret}|{secret} Public"),
            f"EVN|{secret}|{secret}",
            f"PID|1||42||{secret}||{secret}|{secret}",
            f"PV1|1|{secret} Public" + "|" * 42 + secret,
            f"OBX|1|NM|{secret}||{secret}||||||{secret}|||{secret}",
            f"OBX|2|SN|{secret}||{secret}|||{secret}~{secret}",
            f"OBX|3||{secret}||{secret}",
            f"{secret} on a line of its own",
            "",
        ]
    )
    found = rows(data, "rejects")
    assert len(found) > 12
    assert secret not in str(found)
    assert secret not in str(rows(data, "encounters"))
    record = rows(data, "records")[0]
    places = ("record_type", "event", "version", "processing_id")
    assert {record[c] for c in places} == {"other"}
    assert {f"hl7v2.msh.{r}" for r in ("type", "event", "version", "processing-id")} <= {
        r["rule"] for r in found
    }


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("ADT^A01^ADT_A01", "ADT^A01"),
        ("oru^r01", "ORU^R01"),
        ("ACK", "ACK"),
        ("PPR^PC1", "PPR^PC1"),
        ("ADT^123456789", "ADT"),
        ("ADMIT^A01", "other"),
    ],
)
def test_types_are_told_by_their_shape(sent: str, stored: str) -> None:
    data = message(PID).replace("ADT^A01", sent)
    assert rows(data, "records")[0]["record_type"] == stored


@pytest.mark.parametrize(
    ("sent", "stored", "noted"),
    [("i", "I", False), ("IMP", "IMP", True), ("Jane Public", "other", True)],
)
def test_patient_classes_are_a_closed_list(sent: str, stored: str, noted: bool) -> None:
    data = message(PID, f"PV1|1|{sent}")
    assert rows(data, "encounters")[0]["class"] == stored
    assert ((0, "hl7v2.pv1.class", "warning") in rejects(data)) == noted


def test_a_public_coding_of_a_result_comes_before_the_senders_own() -> None:
    """The same list of public systems as DICOM's: MDC and ATC are of it, HL7's tables are not."""
    data = message(
        PID,
        "OBX|1|NM|HR^Pulse^L^147842^MDC_ECG_HEART_RATE^MDC||80",
        "OBX|2|CWE|X^x^L||M^Male^L^M^Male^HL70001",
    )
    pulse, sex = rows(data, "observations")
    assert (pulse["code"], pulse["code_system"]) == ("147842", "mdc")
    assert (pulse["alt_code"], pulse["alt_code_system"]) == ("HR", "local")
    assert (sex["value_code"], sex["value_code_system"]) == ("M", "local")

"""Results whose question asks for something identifying."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.batch import CleanBatch, RawBatch
from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import load_tables, phi_class_known
from lakehouse.identifiers import qualified
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.identifying_results import question_of
from lakehouse.privacy.rules.policy import load_policy

SECRET = Secret(hashlib.sha256(b"one").digest())
SAFE, LIMITED = load_policy("safe_harbor"), load_policy("limited")
LISTED = read_rows(resource("catalog/codes") / "identifying_questions.csv")


def clean(policy: Any = SAFE, table: str = "observations", **columns: Any) -> CleanBatch:
    known = load_tables()[table].schema
    raw = {name: pa.array([value], known.field(name).type) for name, value in columns.items()}
    raw["patient_id"] = qualified("H", pa.array(["1"]))
    return Deidentifier(policy, SECRET)(RawBatch({table: pa.table(raw)}))


def stored(policy: Any = SAFE, table: str = "observations", **columns: Any) -> dict[str, Any]:
    (row,) = clean(policy, table, **columns).tables[table].to_pylist()
    return row


@pytest.mark.parametrize(
    ("number", "unit", "kept"),
    [
        (89, "a", 89), (90, "a", 90), (93, "a", 90), (112, "a", 90), (93, None, 90), (93, "yr", 90),
        (89.9, "a", 89.9), (1079, "mo", 1079), (1080, "mo", 1080), (1200, "mo", 1080),
        (40, "wk", 40), (5000, "wk", 90 * 365.25 / 7), (40000, "d", 90 * 365.25), (6, "h", 6),
        (93, "Years", 90),
    ],
)  # fmt: skip
def test_an_age_that_is_a_result_is_top_coded(number: float, unit: str | None, kept: float) -> None:
    question = {"code": "30525-0", "code_system": "loinc", "unit": unit}
    row = stored(**question, value_number=number, value_high=number)
    assert row["value_number"] == pytest.approx(kept)
    assert row["value_high"] == pytest.approx(kept)
    assert row["code"] == "30525-0"
    assert stored(LIMITED, **question, value_number=number)["value_number"] == number


@pytest.mark.parametrize("code", [r["code"] for r in LISTED if r["phi"] == "age" and r["code"]])
def test_every_listed_code_of_an_age(code: str) -> None:
    (system,) = (r["code_system"] for r in LISTED if r["code"] == code)
    for named in (system, None, "local", "other"):
        assert stored(code=code, code_system=named, value_number=95.0)["value_number"] == 90
    assert stored(code=code, code_system="rxnorm", value_number=95.0)["value_number"] == 95


@pytest.mark.parametrize(
    ("coded", "unit", "kept"),
    [
        *(("93", None, None), ("093Y", None, None), ("089Y", None, "089Y"), ("34", None, "34")),
        *(("012M", None, "012M"), ("95", "mo", "95"), (">=90", None, None)),
        *(("LA6570-1", None, None), ("adult", None, "adult")),
    ],
)  # fmt: skip
def test_an_age_that_is_a_code(coded: str, unit: str | None, kept: str | None) -> None:
    question = {"code": "30525-0", "code_system": "loinc", "unit": unit}
    assert stored(**question, value_code=coded)["value_code"] == kept
    assert stored(LIMITED, **question, value_code=coded)["value_code"] == coded


def test_answers_that_repeat_themselves_are_settled_too() -> None:
    raw = pa.table(
        {
            "patient_id": qualified("H", pa.array(["1"] * 40)),
            "code": ["30525-0", "8480-6"] * 20,
            "code_system": ["loinc"] * 40,
            "value_code": ["093Y", "093Y", "040Y", "040Y"] * 10,
        }
    )
    done = Deidentifier(SAFE, SECRET)(RawBatch({"observations": raw}))
    assert (
        done.tables["observations"]["value_code"].to_pylist()
        == [*(None, "093Y", "040Y", "040Y")] * 10
    )


@pytest.mark.parametrize(
    "text", ["Age", "AGE", "Patient Age", "Patient's age", "Reported Patient Age!!!", "age (years)"]
)
def test_a_local_code_of_an_age_is_known_by_its_text(text: str) -> None:
    done = clean(code="X1", code_system="local", code_display=text, value_number=95.0)
    assert done.tables["observations"]["value_number"].to_pylist() == [90]
    assert done.counts["observations.value_number:age"] == 1


@pytest.mark.parametrize(
    "text", ["Gestational age", "Age-related change", "Agents", "Glucose", "Bone age"]
)
def test_other_results_stay(text: str) -> None:
    row = stored(code="X1", code_system="local", code_display=text, value_number=95.0)
    assert row["value_number"] == 95


@pytest.mark.parametrize("policy", [SAFE, LIMITED], ids=lambda p: p.name)
@pytest.mark.parametrize(
    "text",
    [
        *("HOME PHONE", "Telephone number", "E-mail", "Mother's name", "Provider name", "SSN"),
        *("Home address", "Social Security Number", "MRN", "Medical record number", "Bar code"),
        *("Account no.", "Unique bar code number of current sample", "Device serial number", "UDI"),
    ],
)  # fmt: skip
def test_answers_that_identify_are_dropped(policy: Any, text: str) -> None:
    row = stored(
        policy,
        code="X1",
        code_system="local",
        code_display=text,
        value_number=8015872220.0,
        value_code="0516199364",
        value_code_display="Jane Doe",
        value_at=datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert row["code"] == "X1"
    assert {k for k, v in row.items() if k.startswith("value_") and v is not None} == set()


def test_a_birth_date_that_is_a_result() -> None:
    born = datetime(1950, 2, 3, tzinfo=UTC)
    question = {"code": "21112-8", "code_system": "loinc", "value_at": born}
    assert stored(**question)["value_at"] is None
    assert stored(LIMITED, **question)["value_at"] == born


def test_content_items_of_dicom_reports() -> None:
    age = {"concept_code": "121033", "concept_system": "dcm", "value_number": 95.0, "unit": "a"}
    assert stored(table="imaging_reports", **age)["value_number"] == 90
    subject = {"concept_code": "121030", "concept_system": "dcm", "value_code": "123"}
    assert stored(table="imaging_reports", **subject)["value_code"] is None


def test_tables_with_answers_are_found() -> None:
    found = {name for name, table in load_tables().items() if question_of(table)}
    assert found >= {"observations", "imaging_reports"}


def test_the_list_is_sound() -> None:
    for row in LISTED:
        assert phi_class_known(row["phi"])
        assert bool(row["code"]) != bool(row["text"])
        assert bool(row["code"]) == bool(row["code_system"])
        re.compile(row["text"])

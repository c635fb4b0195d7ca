"""Quality rules: definitions that are at fault say so; checks compare what they say."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.batch import RawBatch
from lakehouse.errors import DefinitionError
from lakehouse.formats import hl7v2
from lakehouse.formats.hl7v2.mapping import load_mappings
from lakehouse.quality import Rule, format_rules, load_rules, validate
from lakehouse.quality import rules as module

RULE = """
[[rule]]
id = "x.required"
level = "record"
clause = "the standard"
table = "records"
location = "MSH-9"
message = "Missing."
check = "required"
column = "record_type"
"""


@pytest.fixture
def rules_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "resource", lambda _: tmp_path)
    load_rules.cache_clear()
    yield tmp_path / "x.toml"
    load_rules.cache_clear()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('check = "required"', 'check = "requird"', "unknown level or check"),
        ('level = "record"', 'level = "fatal"', "unknown level or check"),
        ('clause = "the standard"', "", "clause missing"),
        ('column = "record_type"', 'column = "nope"', "no such table or column"),
        ('table = "records"', 'table = "recods"', "no such table or column"),
        ('id = "x.required"', 'id = "x"\nlevle = "row"', "Did you mean level?"),
    ],
)
def test_a_rule_at_fault_is_said(rules_file: Path, old: str, new: str, says: str) -> None:
    rules_file.write_text(RULE.replace(old, new))
    with pytest.raises(DefinitionError) as caught:
        load_rules("x")
    assert says in str(caught.value)


def test_a_format_without_rules_has_none() -> None:
    assert load_rules("no-such-format") == ()


def test_rules_that_the_hl7_reader_keeps_are_declared() -> None:
    """Only so do they stand in the conformance view of a sender who always passes them."""
    folder = Path(hl7v2.__file__).parent
    text = "".join(p.read_text(encoding="utf-8") for p in folder.rglob("*.py"))
    used = set(re.findall(r'(?<!f)"(hl7v2\.[a-z.-]+)"', text))
    for place in (p for m in load_mappings() for c in m.columns for p in c.places.values()):
        codes = place.conversion.codes
        if codes and re.fullmatch(r"hl7_\d{4}", codes) and place.conversion.otherwise is None:
            used.add(f"hl7v2.table-{codes.removeprefix('hl7_')}")
    declared = {r.id for r in (*load_rules("hl7v2"), *format_rules("hl7v2"))}
    assert used <= declared, f"add [[found]] to catalog/quality/hl7v2.toml: {used - declared}"


def test_every_shipped_rule_names_its_clause() -> None:
    rules = load_rules("hl7v2")
    assert len(rules) > 10 and len({r.id for r in rules}) == len(rules)
    assert all("ch." in r.clause or "table" in r.clause for r in rules)


def _rule(check: str, **more: object) -> Rule:
    return Rule("r", "warning", "", "t", "", "", check, "a", **more)  # type: ignore[arg-type]


def test_comparisons_of_times_and_dates() -> None:
    noon = datetime(2024, 1, 2, 12, tzinfo=UTC)
    table = pa.table(
        {
            "a": [noon, noon + timedelta(days=2), None],
            "b": [noon, noon, noon],
        }
    )
    assert _rule("not_after", than="b", days=1).fails(table).to_pylist() == [False, True, False]
    born = pa.table({"a": [date(2024, 1, 1), date(1850, 1, 1)], "b": [noon, noon]})
    assert _rule("not_before", than="b", days=47_482).fails(born).to_pylist() == [False, True]
    assert _rule("not_after", than="absent").fails(table).to_pylist() == [False] * 3
    future = pa.table({"a": [datetime.now(UTC) + timedelta(days=2)] * 2, "b": [None, "x"]})
    assert _rule("not_after", than="absent | now").fails(future).to_pylist() == [True] * 2
    spared = _rule("not_after", than="now", days=1, unless=(("b", "x"),))
    assert spared.fails(future).to_pylist() == [True, False]


def test_values_outside_a_closed_list_are_not_known() -> None:
    table = pa.table({"a": ["P", "other", None]})
    assert _rule("known").fails(table).to_pylist() == [False, True, False]


def test_a_rejected_record_takes_its_warnings_with_it() -> None:
    records = pa.table({
        "record_id": ["f-0", "f-1"], "file_id": ["f", "f"], "ordinal": [0, 1],
        "record_type": [None, "ADT^A01"], "control_id": [None, None],
    })  # fmt: skip
    batch = RawBatch({"records": records}, n_records=2)
    done = validate(batch, "hl7v2")
    found = {
        (r["record_ordinal"], r["rule"], r["level"]) for r in done.tables["rejects"].to_pylist()
    }
    assert (0, "hl7v2.msh.type-required", "record") in found
    assert {o for o, _, level in found if level == "warning"} == {1}
    assert done.tables["records"]["record_id"].to_pylist() == ["f-1"]

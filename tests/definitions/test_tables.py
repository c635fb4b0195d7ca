"""Definitions of tables: what loads, and what must not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.definitions.tables import (
    PHI_CLASSES,
    TYPES,
    load_tables,
    phi_class_known,
    read_table,
)
from lakehouse.errors import DefinitionError

GOOD = """doc = "One thing."
grain = ["thing_id"]
sort = ["seen_at"]
[columns]
thing_id = { type = "string", phi = "identifier.thing", doc = "Id." }
code = { type = "string", phi = "code", doc = "Code." }
code_system = { type = "string", phi = "none", doc = "System." }
code_display = { type = "string", phi = "display", doc = "Text.", system = "code_system" }
seen_at = { type = "timestamp", phi = "date", doc = "When." }
age_years = { type = "int16", phi = "age", doc = "Age.", at = "seen_at" }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "tables" / "things.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_definition_is_read(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD))
    assert (table.name, table.grain, table.sort) == ("things", ("thing_id",), ("seen_at",))
    assert not table.bookkeeping
    assert table.columns["age_years"].at == "seen_at"
    assert table.columns["code_display"].system == "code_system"
    assert [c.name for c in table.of_class("date", "age")] == ["seen_at", "age_years"]
    field = table.schema.field("seen_at")
    assert field.type == pa.timestamp("us", "UTC")
    assert field.metadata == {b"doc": b"When.", b"phi": b"date"}


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('phi = "code", ', "", "column code: `phi` is missing"),
        ('phi = "code"', 'phi = ""', "column code: `phi` is missing"),
        ('phi = "code"', 'phi = "coed"', "unknown PHI class coed. Did you mean code"),
        ('phi = "code"', 'phi = "identifier"', "unknown PHI class identifier"),
        ('phi = "code"', 'phi = "identifier."', "unknown PHI class identifier."),
        ('phi = "code"', 'phi = "identifier.*"', "unknown PHI class"),
        ('phi = "code"', 'phi = "patient.x"', "unknown PHI class patient.x"),
        ('type = "string", phi = "code"', 'phi = "code"', "column code: `type` is missing"),
        ('type = "string", phi = "code"', 'type = "text", phi = "code"', "unknown type text"),
        ('type = "timestamp"', 'type = "timestmp"', "Did you mean timestamp"),
        ('doc = "Code."', 'doc = ""', "column code: `doc` is missing"),
        ('doc = "Code."', 'doc = "Code.", at_ = "x"', "unknown key at_"),
        (', at = "seen_at"', "", "class age needs `at`"),
        ('at = "seen_at"', 'at = "never_at"', "class age needs `at`"),
        (', system = "code_system"', "", "class display needs `system`"),
        ('system = "code_system"', 'system = "other"', "class display needs `system`"),
        ('grain = ["thing_id"]', 'grain = ["id"]', "`grain` names no column: id"),
        ('sort = ["seen_at"]', 'sort = ["seen"]', "`sort` names no column: seen"),
        ('doc = "One thing."', "", "required"),
        ('grain = ["thing_id"]', "", "required"),
        ("[columns]", "[columns", "not valid TOML"),
    ],
)
def test_a_faulty_definition_does_not_load(
    tmp_path: Path, before: str, after: str, why: str
) -> None:
    assert GOOD.count(before) == 1
    with pytest.raises(DefinitionError) as caught:
        read_table(write(tmp_path, GOOD.replace(before, after)))
    assert why in str(caught.value)
    assert "tables/things.toml" in str(caught.value)


def test_a_definition_without_columns_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="required"):
        read_table(
            write(tmp_path, GOOD.split("[columns]")[0].replace("grain", "#").replace("sort", "#"))
        )


@pytest.mark.parametrize("name", sorted(load_tables()))
def test_shipped_definitions(name: str) -> None:
    table = load_tables()[name]
    assert table.doc.endswith(".")
    for column in table.columns.values():
        assert phi_class_known(column.phi)
        assert column.type in TYPES.values()
        assert column.doc.endswith("."), column.name
        if column.at:
            assert table.columns[column.at].phi == "date"
        if column.phi == "date":
            assert "patient_id" in table.columns, "a time that nothing can shift"
        if column.phi == "link":
            assert {"patient_id", "old_patient_id"} <= set(table.columns)
    if not table.bookkeeping:
        assert {"record_id", "patient_id"} <= set(table.columns)


def test_every_class_is_described() -> None:
    assert all(doc.endswith(".") for doc in PHI_CLASSES.values())
    assert all(phi_class_known(phi) for phi in PHI_CLASSES if not phi.endswith("*"))

"""Whose texts are stored: ours, the site's, and those that say no more than their code."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakehouse.definitions.code_systems import public_systems, shape_of
from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import DefinitionError
from lakehouse.privacy.rules.code_texts import SITE_FILE, Terminology

EXAMPLES = {
    "loinc": "2345-7", "snomed": "386661006", "icd10cm": "E11.9", "icd10": "E11.9",
    "icd10pcs": "0W9G30Z", "icd9cm": "250.00", "icd9pcs": "37.22", "icdo3": "8140/3",
    "rxnorm": "1049502", "ndc": "0093-1048-01", "atc": "A10BA02", "unii": "9100L32L2N",
    "cvx": "207", "mvx": "PFR", "cpt": "99213", "hcpcs": "G0008", "drg": "470",
    "nucc": "207R00000X", "ucum": "mg/dL", "cdcrec": "2106-3", "dcm": "113691", "dicom": "113691",
    "srt": "T-D3000", "fma": "7195", "radlex": "RID5824", "mdc": "147842", "nullflavor": "UNK",
    "iso3166": "USA", "bcp47": "en-US", "hl7-0078": "HH",
}  # fmt: skip


def text(system: str | None, code: str | None, display: str | None, *folders: Path) -> str | None:
    columns = [pa.array([value], pa.string()) for value in (display, code, system)]
    return Terminology(folders).texts(*columns)[0].as_py()


@pytest.mark.parametrize(("system", "code"), EXAMPLES.items())
def test_texts_of_public_codes_stay(system: str, code: str) -> None:
    ours = "Type 2 diabetes mellitus without complications" if system == "icd10cm" else "A text"
    assert text(system, code, "A text") == ours


def test_every_public_system_has_an_example_here() -> None:
    assert {s.replace("*", "0078") for s in public_systems()} == set(EXAMPLES)


@pytest.mark.parametrize("system", EXAMPLES)
@pytest.mark.parametrize("code", ["", "Jane Doe, born in Bern", "DOE JANE"])
def test_a_code_without_the_shape_of_its_system_keeps_no_text(system: str, code: str) -> None:
    assert text(system, code, "Jane Doe") is None


@pytest.mark.parametrize("system", [None, "", "local", "other", "LN", "99lab", "hl7", "loinc "])
def test_other_systems_keep_no_text(system: str | None) -> None:
    assert text(system, "2345-7", "Glucose") is None


def test_our_own_text_takes_the_place_of_the_sources() -> None:
    for code in ("E11.9", "E119", " e11.9 "):
        found = text("icd10cm", code, "diabetes like her mother Jane Doe")
        assert found == "Type 2 diabetes mellitus without complications"
    assert text("icd10cm", "E11", "Type 2 diabetes") == "Type 2 diabetes"  # not a code of ours
    assert text("icd10cm", "E11.9", None) is None


@pytest.mark.parametrize(
    "display", ["call 555-123-4567", "jane@example.org", "born 1950-01-31", "a\nb", "x" * 301]
)
def test_identifying_texts_go_even_with_a_public_code(display: str) -> None:
    assert text("loinc", "2345-7", display) is None
    assert text("loinc", "2345-7", "x" * 300) == "x" * 300


def test_a_site_lists_texts_of_its_own(tmp_path: Path) -> None:
    (tmp_path / SITE_FILE).write_text(
        "# title: ours\ncode_system,code,display\n"
        "local,GLU,Glucose in serum\nacme,X.1,Acme panel\nloinc,2345-7,Blood sugar\n",
        encoding="utf-8",
    )
    assert text("local", "glu", "Jane Doe", tmp_path) == "Glucose in serum"
    assert text(None, "GLU", "Jane Doe", tmp_path) == "Glucose in serum"
    assert text("other", "GLU", "Jane Doe", tmp_path) == "Glucose in serum"
    assert text("acme", "X1", "Jane Doe", tmp_path) == "Acme panel"
    assert text("acme", "GLU", "Jane Doe", tmp_path) is None  # acme has a list of its own
    assert text("local", "NA", "Jane Doe", tmp_path) is None
    assert text("loinc", "2345-7", "Glucose", tmp_path) == "Blood sugar"
    assert text("loinc", "2339-0", "Glucose", tmp_path) == "Glucose"


def test_a_sites_list_without_its_columns_does_not_load(tmp_path: Path) -> None:
    (tmp_path / SITE_FILE).write_text("code,text\nGLU,Glucose\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match="lacks a column"):
        Terminology([tmp_path])


def test_columns_with_several_systems_and_nulls() -> None:
    found = Terminology().texts(
        pa.array(["a", "b", None, "d", "e"]),
        pa.array(["2345-7", "E119", "2345-7", "zz", None]),
        pa.array(["loinc", "icd10cm", "loinc", None, "loinc"]),
    )
    assert found.to_pylist() == [
        "a", "Type 2 diabetes mellitus without complications", None, None, None
    ]  # fmt: skip
    empty = pa.array([], pa.string())
    assert len(Terminology().texts(empty, empty, empty)) == 0


def test_shapes_are_patterns_for_the_whole_code() -> None:
    for system in public_systems():
        shape = shape_of(system)
        assert shape is not None
        assert pc.match_substring_regex(pa.array([" jane doe "]), shape).to_pylist() == [False]


def test_every_display_column_has_a_code_column() -> None:
    """The text's code is found by name: ``panel_display`` -> ``panel_code`` or ``panel``."""
    for table in load_tables().values():
        for column in table.of_class("display"):
            stem = column.name.removesuffix("_display")
            assert stem != column.name
            assert {stem, f"{stem}_code"} & set(table.columns), f"{table.name}.{column.name}"


def test_lists_are_sound() -> None:
    for path in resource("catalog/terminologies").glob("*.csv"):
        assert path.stem in public_systems()
        listed = read_rows(path)
        assert set(listed[0]) == {"code", "display"}
        assert len({row["code"].replace(".", "").upper() for row in listed}) == len(listed)

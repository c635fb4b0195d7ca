"""Lineage: every column of every view is followed down to tables or code sets."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from lakehouse.definitions.tables import load_tables
from lakehouse.errors import QueryError
from lakehouse.query.svg import attrition_svg, lineage_svg
from lakehouse.query.views.library import load_views
from lakehouse.query.views.lineage import ColumnTracer, Origin, draw_tree, lineage
from lakehouse.query.views.relations import columns

views = load_views()


@pytest.fixture(scope="module")
def follower() -> ColumnTracer:
    """Follows columns of all views, with what it has learnt of one kept for the next."""
    return ColumnTracer(views, columns())


@pytest.mark.parametrize("name", sorted(views))
def test_the_last_column_of_every_view_comes_from_somewhere(
    name: str, follower: ColumnTracer
) -> None:
    """The last column is the one most is computed for: a score, a count."""
    origin = follower.origin(name, views[name].columns[-1])
    tables = load_tables()
    for end in (o for o in origin.walk() if not o.inputs):
        if end.relation in tables and end.column != "*":
            assert end.column in tables[end.relation].columns
        else:  # rows that are counted, a code set, or a constant that a view states
            assert end.column == "*" or end.relation.startswith("codes.") or end.relation in views


def test_a_value_is_followed_to_its_table_with_its_docs() -> None:
    names = {o.name: o.doc for o in lineage("egfr.egfr").walk()}
    assert names["observations.value_number"] == "Numeric value, in `unit`."
    assert "patients.sex" in names
    assert "codes.unit_conversions.factor" in names
    assert "observations.flag" not in names


def test_a_count_comes_from_rows() -> None:
    assert "encounters_current.*" in {o.name for o in lineage("length_of_stay.n_visits").walk()}


def test_a_macro_has_a_lineage_too() -> None:
    assert any(o.relation == "observations" for o in lineage("news2_at.score").walk())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("egfr.egrf", "Did you mean egfr"),
        ("eggfr.egfr", "Did you mean egfr"),
        ("egfr", "Did you mean egfr"),
        ("observations.code", "There is no view named observations"),
    ],
)
def test_unknown_names(name: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        lineage(name)


def test_the_tree_says_each_thing_once() -> None:
    text = draw_tree(lineage("news2.score"))
    assert text.splitlines()[0].startswith("news2.score")
    assert text.count("codes.unit_conversions.factor") == 1
    assert "(see above)" in text


def test_the_picture_holds_every_column_and_stays_inside() -> None:
    origin = lineage("news2.score")
    picture = ElementTree.fromstring(lineage_svg(origin, load_tables()))
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    space = "{http://www.w3.org/2000/svg}"
    boxes = picture.findall(f".//{space}g/{space}rect")
    assert len(boxes) == len({o.name for o in origin.walk()})
    for box in boxes:
        at = box.attrib
        assert float(at["x"]) + float(at["width"]) <= width
        assert float(at["y"]) + float(at["height"]) <= height


def test_names_are_escaped_in_pictures() -> None:
    ElementTree.fromstring(lineage_svg(Origin("a<b", "c&d", "'\""), {}))
    ElementTree.fromstring(attrition_svg("t2dm & <x>", [("age < 75", 10), ("lab >= 6.5", 4)]))

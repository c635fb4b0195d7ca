"""The guides say what is true: their lists, their commands, their paths, their proofs."""

from __future__ import annotations

import ast
import configparser
import re
import runpy
from pathlib import Path
from typing import TypeGuard

import pytest

from lakehouse.query.views.library import load_views

ROOT = Path(__file__).parents[1]
FOLDERS = ("", "catalog", "lakehouse", "scripts", "sql")
GUIDES = {f"{folder}/README.md".lstrip("/"): ROOT / folder / "README.md" for folder in FOLDERS}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in GUIDES.items()}
LISTS = runpy.run_path(str(ROOT / "scripts" / "readme.py"))

README_LINES = 150


def found(pattern: str, flags: int = 0) -> list[tuple[str, str]]:
    """Return what matches in any guide, each once, with the guide's name."""
    return sorted({(n, m) for n, text in TEXTS.items() for m in re.findall(pattern, text, flags)})


@pytest.mark.parametrize("name", LISTS["LISTS"])
def test_the_lists_of_tables_and_views_are_current(name: str) -> None:
    guide, _ = LISTS["LISTS"][name]
    text = guide.read_text(encoding="utf-8")
    assert f"<!-- {name}: " in text
    assert LISTS["written"](name, text) == text, "run scripts/readme"


def test_the_first_page_is_short() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= README_LINES


def test_every_folder_with_a_guide_is_named_on_the_first_page() -> None:
    assert [n for n in GUIDES if n != "README.md" and f"]({n})" not in TEXTS["README.md"]] == []


def test_every_view_that_an_analyst_is_led_to_exists() -> None:
    questions = TEXTS["sql/README.md"].partition("## Which view")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", questions))
    assert len(named) > 50
    assert named <= load_views().keys()


def test_the_layout_names_every_room() -> None:
    layout = TEXTS["lakehouse/README.md"].partition("## The rooms")[2].partition("\n## ")[0]
    rooms = {p.parent for p in (ROOT / "lakehouse").glob("*/__init__.py")}
    rooms |= {p.parent for p in (ROOT / "lakehouse").glob("*/*/__init__.py")}
    drawn = set(re.findall(r"^ *(\w+)/ ", layout, re.MULTILINE))
    assert {room.name for room in rooms} - {"writers"} == drawn


@pytest.mark.parametrize(
    ("guide", "path"), found(r"`((?:tests|scripts|lakehouse|sql|catalog)/[\w./]+)`")
)
def test_every_path_that_is_named_exists(guide: str, path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("guide", "target"), found(r"\]\(([^)#:]+)(?:#[\w-]+)?\)"))
def test_every_link_leads_somewhere(guide: str, target: str) -> None:
    assert (GUIDES[guide].parent / target).exists()


@pytest.mark.parametrize(("guide", "link"), found(r"\]\(([^)#:]*#[\w-]+)\)"))
def test_every_link_to_a_heading_finds_it(guide: str, link: str) -> None:
    path, _, heading = link.partition("#")
    text = (GUIDES[guide].parent / path if path else GUIDES[guide]).read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert heading in {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}


PROMISES = TEXTS["lakehouse/README.md"].partition("## What is promised")[2].partition("\n## ")[0]


@pytest.mark.parametrize("proof", sorted(set(re.findall(r"`(tests/[^`]+)`", PROMISES))))
def test_every_proof_is_a_test_that_ci_collects(proof: str) -> None:
    path, _, name = proof.partition("::")
    place = ROOT / path
    if place.name != "views":  # cases, which a test beside it runs
        files = [place] if place.is_file() else sorted(place.rglob("test_*.py"))
        names = [n.name for f in files for n in ast.parse(f.read_text()).body if _is_test(n)]
        assert names
        assert all(f.name.startswith("test_") for f in files)
        assert not name or name in names


def _is_test(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def test_every_promise_has_a_proof() -> None:
    rows = [line for line in PROMISES.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert [row for row in rows if "`tests/" not in row.rsplit(" | ", 1)[-1]] == []


@pytest.mark.parametrize(("guide", "name"), found(r"lakehouse\.([a-z]\w+)\("))
def test_every_python_call_is_public(guide: str, name: str) -> None:
    import lakehouse

    assert callable(getattr(lakehouse, name))


COMMAND = re.compile(
    r"(?:^|`|\$ |-m |/|&& |  )lakehouse(?:\.cli)? ((?:export )?[a-z]+)(?= |`|$)([^`\n]*)",
    re.MULTILINE,
)


def options() -> list[tuple[str, str]]:
    """Return every command of a guide with each option that it is given there."""
    told = {
        (command, option)
        for text in TEXTS.values()
        for command, rest in COMMAND.findall(re.sub(r"\\\n\s+", "", text))
        for option in ["--help", *re.findall(r"(?<= )--[a-z][a-z-]+", rest.partition("#")[0])]
    }
    return sorted(told)


@pytest.mark.parametrize(("command", "option"), options())
def test_every_command_has_the_options_that_a_guide_gives_it(command: str, option: str) -> None:
    import typer

    from lakehouse.cli import app

    known = typer.main.get_command(app)
    for word in command.split():
        known = known.commands[word]
    assert option == "--help" or option in {o for p in known.params for o in p.opts}


def test_the_units_of_systemd_are_whole() -> None:
    text = TEXTS["scripts/README.md"]
    units = [read_unit(body) for body in re.findall(r"^```ini\n(.*?)^```$", text, re.M | re.S)]
    assert ["Service" in unit for unit in units] == [True, False]
    service, timer = units
    assert all(unit["Unit"]["Description"] for unit in units)
    assert service["Service"]["User"] == "lakehouse" and service["Service"]["Type"] == "oneshot"
    assert timer["Timer"]["OnCalendar"] and timer["Install"]["WantedBy"] == "timers.target"


def read_unit(text: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    return unit

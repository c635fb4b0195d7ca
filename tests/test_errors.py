"""Every error survives pickling, and none quotes a third party's text."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import lakehouse
from lakehouse import errors
from lakehouse.errors import LakehouseError, MissingExtraError, UserError, did_you_mean

PACKAGE = Path(lakehouse.__file__).parent


def family(kind: type[LakehouseError]) -> list[type[LakehouseError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in family(child))]


@pytest.mark.parametrize("kind", family(LakehouseError), ids=lambda k: k.__name__)
@pytest.mark.parametrize("args", [("It is broken.", "Mend it."), ("It is broken.",)])
def test_an_error_keeps_its_type_and_arguments(
    kind: type[LakehouseError], args: tuple[str, ...]
) -> None:
    again = pickle.loads(pickle.dumps(kind(*args)))
    assert type(again) is kind
    assert (again.problem, again.remedy) == (*args, "")[:2]
    assert str(again) == " ".join(args)


def test_the_persons_mistakes_exit_with_2_and_ours_with_1() -> None:
    for kind in family(LakehouseError):
        assert kind("x").exit_code == (2 if issubclass(kind, UserError) else 1)
        assert issubclass(kind, ValueError) == issubclass(kind, UserError)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {
        line.split("- ")[1].split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "- " in line
    }
    assert drawn == {
        kind.__name__ for kind in family(LakehouseError) if kind.__module__ == errors.__name__
    }


def test_a_missing_extra_says_what_to_install() -> None:
    error = MissingExtraError.for_extra("DICOM", "dicom")
    assert 'pip install "clinical-lakehouse[dicom]"' in str(error)
    assert pickle.loads(pickle.dumps(error)).remedy == error.remedy


def test_near_names() -> None:
    assert did_you_mean("observation", ["observations", "orders"]) == "Did you mean observations?"
    assert did_you_mean("xyz", ["observations"]) == ""


# --- no message of ours interpolates an exception of others ----------------------------------

TREES = {
    path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))
}

SAFE_TYPES = {
    *(n.name for tree in TREES.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)),
    "TOMLDecodeError",  # quotes a definition, never data
    "CycleError",  # holds the names of our own views
    "UnsupportedError",  # what sqlglot says of our own views
}
"""Exceptions whose text may be shown: ours, and those about definitions."""


def types_of(handler: ast.ExceptHandler) -> set[str]:
    """Return the last part of the name of each exception type that is caught."""
    listed = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(kind).rsplit(".", 1)[-1] for kind in listed if kind is not None}


def quotes(handler: ast.ExceptHandler) -> list[int]:
    """Return the lines where a caught exception's own text becomes part of another text."""
    if handler.name is None or types_of(handler) <= SAFE_TYPES:
        return []
    above = {child: node for node in ast.walk(handler) for child in ast.iter_child_nodes(node)}
    found = []
    for name in ast.walk(handler):
        if not (isinstance(name, ast.Name) and name.id == handler.name):
            continue
        use = above[name]
        called = ast.unparse(use.func) if isinstance(use, ast.Call) else ""
        if called in ("str", "repr", "format") and isinstance(above[use], ast.Compare):
            continue  # looked into, not passed on
        texts = ("args", "doc", "object", "msg", "message", "reason", "strerror", "filename")
        attribute = use.attr if isinstance(use, ast.Attribute) else ""
        in_text = isinstance(use, ast.FormattedValue) or called in (
            "str",
            "repr",
            "format",
            "print",
        )
        if in_text or attribute in texts:
            found.append(name.lineno)
    return found


def test_no_message_interpolates_an_exception() -> None:
    """str(exc) of pyarrow, json, datetime or DuckDB quotes the value that offended."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        for line in quotes(node)
    ]
    assert not found, found


def test_the_search_sees_what_it_looks_for() -> None:
    source = """
try:
    pass
except OSError as error:
    raise X(f'bad {error}') from None
except (ValueError, duckdb.Error) as bad:
    log(str(bad))
    log(bad.args[0])
    log(bad.errno)
except InputError as ours:
    log(str(ours))
except Exception as other:
    full = "space" in str(other)
"""
    handlers = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ExceptHandler)]
    assert [quotes(h) for h in handlers] == [[5], [7, 8], [], []]

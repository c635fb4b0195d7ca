"""The examples in docstrings say what the code does."""

from __future__ import annotations

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

import lakehouse

MODULES = sorted(
    module.name
    for module in walk_packages(lakehouse.__path__, "lakehouse.")
    if not module.name.endswith("__main__")  # which runs when it is imported
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    found = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert not found.failed, "see what was expected above"

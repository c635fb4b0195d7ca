"""Where the shipped folders ``catalog/`` and ``sql/`` are."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def resource(name: str) -> Path:
    """Return a shipped folder: inside the wheel, or at the root of a checkout.

    Args:
        name: ``"catalog"`` or ``"sql"``, with any sub-folder (``"catalog/tables"``).
    """
    package = Path(__file__).parents[1]
    packaged = package / "_data" / name
    return packaged if packaged.is_dir() else package.parent / name

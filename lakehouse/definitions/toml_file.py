"""Reads TOML definitions of ``catalog/`` and of a site."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from lakehouse.errors import DefinitionError


def short_name(path: Path) -> str:
    """Return how messages name a definition: its folder and its file.

    Examples:
        >>> short_name(Path("/srv/lakehouse/catalog/tables/orders.toml"))
        'tables/orders.toml'
    """
    return f"{path.parent.name}/{path.name}"


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        DefinitionError: The file is not TOML in UTF-8.

    Examples:
        >>> from lakehouse.definitions.resources import resource
        >>> read_toml(resource("catalog/tables") / "orders.toml")["grain"]
        ['record_id', 'ordinal']
    """
    return parse_toml(path.read_bytes(), short_name(path))


def parse_toml(content: bytes, named: str) -> dict[str, Any]:
    """Return what the content of a TOML file says.

    Args:
        content: The file's bytes.
        named: How messages name the file.

    Raises:
        DefinitionError: The content is not TOML in UTF-8.

    Examples:
        >>> parse_toml(b"answer = 42", "a.toml")
        {'answer': 42}
    """
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        place = _position(error)
        raise DefinitionError(f"{named} is not valid TOML ({place}).", "Fix the file.") from None


def _position(error: ValueError) -> str:
    """Return where a file is at fault; the rest of the message may quote the file."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    found = re.search(r"\(at ([^()]+)\)$", str(error))
    return found[1] if found else "at an unknown place"

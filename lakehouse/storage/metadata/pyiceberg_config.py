"""Checks pyiceberg's configuration before its import, which would fail on a fault in it."""

from __future__ import annotations

import os
from contextlib import suppress

from lakehouse.errors import WarehouseError

FILE = ".pyiceberg.yaml"
_VARIABLES = "PYICEBERG_"


def check_configuration() -> None:
    """Refuse a configuration that pyiceberg cannot read, before anything imports pyiceberg.

    Raises:
        WarehouseError: The file is not YAML as pyiceberg expects, or a variable contradicts it.
    """
    files = [path for folder in _folders() if os.path.isfile(path := os.path.join(folder, FILE))]
    if not files and not any(name.upper().startswith(_VARIABLES) for name in os.environ):
        return
    from pyiceberg.utils.config import Config

    try:
        Config().get_known_catalogs()
    except Exception as error:  # its text quotes the file, which may hold a password
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        place = f"{files[0]}{where}" if files else f"a variable {_VARIABLES}..."
        raise WarehouseError(
            f"pyiceberg cannot read its configuration ({place}).",
            "Fix it: block style YAML, `catalog:` with a name and properties below it, and no "
            f"variable {_VARIABLES}CATALOG__... that contradicts it.",
        ) from None


def _folders() -> list[str]:
    """Return the folders in which pyiceberg looks for its configuration, in its order."""
    folders = [os.environ.get("PYICEBERG_HOME") or "", os.path.expanduser("~")]
    with suppress(FileNotFoundError):  # another process removed the folder
        folders.append(os.getcwd())
    return [folder for folder in folders if folder]

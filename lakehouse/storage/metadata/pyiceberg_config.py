"""The configuration of pyiceberg, which reads it while it is imported and stumbles over a fault."""

from __future__ import annotations

import os
from contextlib import suppress

from lakehouse.errors import WarehouseError

FILE = ".pyiceberg.yaml"
_VARIABLES = "PYICEBERG_"


def check_configuration() -> None:
    """Refuse a configuration that pyiceberg cannot read, before pyiceberg is imported.

    Raises:
        WarehouseError: The file is no YAML of pyiceberg's kind, or a variable contradicts it.
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
            "Mend it: block style YAML, `catalog:` with a name and properties below it, and no "
            f"variable {_VARIABLES}CATALOG__... that contradicts it.",
        ) from None


def _folders() -> list[str]:
    """Return the folders in which pyiceberg looks for its file, in its order."""
    found = [os.environ.get("PYICEBERG_HOME") or "", os.path.expanduser("~")]
    with suppress(FileNotFoundError):  # a folder that was removed meanwhile
        found.append(os.getcwd())
    return [folder for folder in found if folder]
